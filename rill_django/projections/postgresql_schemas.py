"""Rows and checkpoints in several schemas of PostgreSQL, such as one for each tenant."""

from __future__ import annotations

from django.db import connections

from rill_django.domain.errors import RillError
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.projection import Projection

# A table that is missing in one schema is looked for in the next of the search path.
_ELSEWHERE = """
SELECT c.relname, n.nspname, h.nspname
FROM unnest(%s::text[]) AS wanted(name)
JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name))
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class here ON here.oid = to_regclass(quote_ident(%s))
JOIN pg_namespace h ON h.oid = here.relnamespace
WHERE n.oid <> h.oid
  AND EXISTS (SELECT FROM pg_class o WHERE o.relnamespace = n.oid AND o.relname = here.relname)
LIMIT 1
"""


class RowsOfAnotherSchema(RillError):
    """The rows that a projection would write to belong to another schema's log."""


def refuse_rows_of_another_schema(projection: Projection) -> None:
    """Look whether the rows belong to the log and the checkpoints that the search path leads to.

    Raises:
        RowsOfAnotherSchema: they are in another schema, which has checkpoints of its own.
    """
    connection = connections[projection.using]
    if connection.vendor != "postgresql":
        return
    names = [model._meta.db_table for model in projection.models]
    with connection.cursor() as cursor:
        cursor.execute(_ELSEWHERE, (names, Checkpoint._meta.db_table))
        found = cursor.fetchone()
    if found:
        table, there, here = found
        raise RowsOfAnotherSchema(
            f"{projection.name} has its checkpoints in the schema {here!r}, which has no table {table}: that "
            f"of the schema {there!r}, with checkpoints of its own, would be written to. Migrate {here!r}."
        )
