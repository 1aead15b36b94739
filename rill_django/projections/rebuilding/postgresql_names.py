"""Tables of PostgreSQL by name, and where names are looked up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from rill_django.domain.errors import RillError


class PathNotKept(RillError):
    """A setting of the transaction does not hold until its end."""


class Table(NamedTuple):
    """A table, live or beside."""

    oid: int
    schema: str
    name: str
    quoted: str


def quoted(name: str) -> str:
    """Return an identifier as it can stand in SQL."""
    return '"' + name.replace('"', '""') + '"'


def find_tables(cursor: CursorWrapper, names: Sequence[str]) -> list[Table]:
    """Return the tables that these names mean now."""
    cursor.execute(
        "SELECT c.oid, n.nspname, c.relname, format('%%I.%%I', n.nspname, c.relname) "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS wanted(name, number) "
        "JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name)) "
        "JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY wanted.number",
        (list(names),),
    )
    return [Table(*row) for row in cursor.fetchall()]


def tables_in(cursor: CursorWrapper, schema: str, names: Sequence[str]) -> list[Table]:
    """Return the tables of these names in a schema, whatever the names mean now."""
    cursor.execute(
        "SELECT c.oid, n.nspname, c.relname, format('%%I.%%I', n.nspname, c.relname) "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS wanted(name, number) "
        "JOIN pg_namespace n ON n.nspname = %s "
        "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name "
        "ORDER BY wanted.number",
        (list(names), schema),
    )
    return [Table(*row) for row in cursor.fetchall()]


def schema_of(cursor: CursorWrapper, names: Sequence[str]) -> str:
    """Return the schema of these tables; if there are none, that where they would be made."""
    found = find_tables(cursor, names)
    if found:
        return found[0].schema
    cursor.execute("SELECT coalesce(current_schema(), 'public')")
    schema: str = cursor.fetchone()[0]
    return schema


@contextmanager
def search_path(cursor: CursorWrapper, schema: str) -> Iterator[None]:
    """Look names up in this schema only, inside a ``with`` block of a transaction, on this very cursor.

    Raises:
        PathNotKept: the next statement does not do so.
    """
    cursor.execute("SELECT current_setting('search_path')")
    before = cursor.fetchone()[0]
    set_path(cursor, quoted(schema))
    cursor.execute("SELECT current_setting('search_path')")
    (found,) = cursor.fetchone()
    if found != quoted(schema):
        raise PathNotKept(
            f"search_path was set to {quoted(schema)}, and is {found} in the next statement of the same "
            "transaction: something sets it anew each time. Nothing can be rebuilt beside live rows there: "
            "rebuild in place, rebuild_projections --in-place"
        )
    yield
    # Not after an error: the transaction is broken then, and the setting goes with it.
    set_path(cursor, before)


@contextmanager
def search_path_before(cursor: CursorWrapper, schema: str) -> Iterator[None]:
    """Look names up in this schema first, inside a ``with`` block of a transaction, on this very cursor."""
    cursor.execute("SELECT current_setting('search_path')")
    before = cursor.fetchone()[0]
    set_path(cursor, f"{quoted(schema)}, {before}" if before else quoted(schema))
    yield
    set_path(cursor, before)


def set_path(cursor: CursorWrapper, path: str) -> None:
    """Set where names are looked up until the end of the transaction."""
    cursor.execute("SELECT set_config('search_path', %s, true)", (path,))
