"""The columns of a constraint that a database has named by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.inline.identifiers import table_name

# Django's own introspection does not find a table whose schema is named.
_POSTGRESQL = """
SELECT attname FROM pg_attribute JOIN (
    SELECT conrelid AS relation, conkey AS numbers FROM pg_constraint
    WHERE conrelid = to_regclass(%(table)s) AND conname = %(name)s
    UNION ALL
    SELECT indrelid, indkey::int2[] FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass(%(table)s) AND relname = %(name)s
) AS found ON attrelid = found.relation AND attnum = ANY (found.numbers)
"""


def columns_of(
    name: str, model: type[models.Model], connection: BaseDatabaseWrapper
) -> frozenset[str]:
    """Return the columns of the constraint of this name in the model's table; none if there is none."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(_POSTGRESQL, {"table": table, "name": name})
            return frozenset(column for (column,) in cursor.fetchall())
        known: Mapping[str, Any] = connection.introspection.get_constraints(
            cursor, table_name(model, connection)
        )
    return frozenset(known.get(name, {}).get("columns") or ())
