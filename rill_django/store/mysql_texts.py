"""Makes columns of MySQL compare byte by byte that an older release, or somebody else, has made otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from rill_django.store.texts import IdentityField, exact_collation


def inexact_columns(
    connection: BaseDatabaseWrapper, tables: Iterable[type[models.Model]]
) -> dict[type[models.Model], list[IdentityField]]:
    """Return the columns that hold identities and do not compare them byte by byte."""
    if connection.vendor != "mysql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
        )
        collations = {(table, column): collation for table, column, collation in cursor.fetchall()}
    wanted = exact_collation(connection)
    found: dict[type[models.Model], list[IdentityField]] = {}
    for model in tables:
        for field in model._meta.local_fields:
            place = model._meta.db_table, field.column
            if isinstance(field, IdentityField) and collations.get(place, wanted) != wanted:
                found.setdefault(model, []).append(field)
    return found


def make_exact(
    schema_editor: BaseDatabaseSchemaEditor, tables: Iterable[type[models.Model]]
) -> None:
    """Change such columns: in one statement for each table, which MySQL copies once.

    Rows that are told apart by now stay apart, so nothing collides; indexes and constraints remain.
    """
    connection = schema_editor.connection
    quote = connection.ops.quote_name
    for model, fields in inexact_columns(connection, tables).items():
        changes = ", ".join(
            f"MODIFY {quote(str(field.column))} {field.db_type(connection)} "
            f"COLLATE {exact_collation(connection)} NOT NULL"
            for field in fields
        )
        schema_editor.execute(f"ALTER TABLE {quote(model._meta.db_table)} {changes}", params=None)
