"""Constraints that the database would check at the end of the transaction, checked at once."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, models
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.inline.identifiers import table_name

Model = type[models.Model]


def deferring(found: Iterable[Model]) -> list[Model]:
    """Return the models with a constraint that may be checked late: with a foreign key, in Django."""
    return [
        model
        for model in found
        if any(
            field.remote_field is not None and getattr(field, "db_constraint", False)
            for field in model._meta.local_concrete_fields
        )
        or any(getattr(one, "deferrable", None) for one in model._meta.constraints)
    ]


def check_deferred(found: Iterable[Model], connection: BaseDatabaseWrapper) -> None:
    """Check the constraints of these models' tables that wait for the end of the transaction.

    Others that the caller's transaction may still mend are left alone.

    Raises:
        IntegrityError: one is violated.
    """
    check = {"postgresql": _check_postgresql, "sqlite": _check_sqlite}.get(connection.vendor)
    if check is not None:
        check(found, connection)


# By name, and in one statement: to set all of them would check what is not ours.
_AT_ONCE = """
DO $rill$
DECLARE names text;
BEGIN
    SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') INTO names
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE c.condeferred AND c.conrelid IN ({tables});
    IF names IS NOT NULL THEN
        EXECUTE 'SET CONSTRAINTS ' || names || ' IMMEDIATE';
        EXECUTE 'SET CONSTRAINTS ' || names || ' DEFERRED';
    END IF;
END $rill$
"""


def _check_postgresql(found: Iterable[Model], connection: BaseDatabaseWrapper) -> None:
    quote = connection.ops.quote_name
    quoted = (quote(model._meta.db_table).replace("'", "''") for model in found)
    tables = ", ".join(f"to_regclass('{one}')" for one in quoted)
    with connection.cursor() as cursor:
        cursor.execute(_AT_ONCE.replace("{tables}", tables))


def _check_sqlite(found: Iterable[Model], connection: BaseDatabaseWrapper) -> None:
    """SQLite can check a table only as a whole."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for model in found:
            table = table_name(model, connection)
            cursor.execute(f"PRAGMA foreign_key_check({quote(table)})")
            broken = cursor.fetchone()
            if broken is None:
                continue
            cursor.execute(
                'SELECT "from" FROM pragma_foreign_key_list(%s) WHERE id = %s', (table, broken[3])
            )
            (column,) = cursor.fetchone()
            raise IntegrityError(f"FOREIGN KEY constraint failed: {table}.{column}")
