"""Beside the live rows on SQLite: temporary tables, copied into the live ones in one transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, transaction
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.places import Sides
from rill_django.projections.rebuilding.shadowing import ShadowingPlace
from rill_django.projections.rebuilding.tables import Model

_CREATE_TABLE = re.compile(r"\s*CREATE\s+TABLE\s+", re.IGNORECASE)
_CREATE_INDEX = re.compile(r"\s*(CREATE\s+(?:UNIQUE\s+)?INDEX\s+)", re.IGNORECASE)


class SQLitePlace(ShadowingPlace):
    """See `Place`."""

    @property
    def _names(self) -> list[str]:
        return [model._meta.db_table for model in self.models]

    def reasons_against(self) -> list[str]:
        """See `Place.reasons_against`."""
        reasons = super().reasons_against()
        if self.connection.is_in_memory_db():  # type: ignore[attr-defined]
            return [*reasons, "The database is in memory, where a connection cannot work beside."]
        with self.connection.cursor() as cursor:
            for name in self._names:
                cursor.execute(
                    "SELECT type FROM main.sqlite_master WHERE name = %s AND type IN ('table', 'view')",
                    (name,),
                )
                found = cursor.fetchone()
                if found is None:
                    reasons.append(f"There is no table {name}: migrate first.")
                elif found[0] != "table":
                    reasons.append(f"{name} is not an ordinary table.")
            cursor.execute(
                'SELECT DISTINCT m.name, f."table" FROM main.sqlite_master m, '
                "pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"
            )
            reasons += [
                f"{child} refers to {parent} from outside."
                for child, parent in cursor.fetchall()
                if parent in self._names and child not in self._names
            ]
            if self._has_foreign_parents(cursor) and self._acts_on_delete(cursor):
                reasons.append(
                    "Its tables have foreign keys that act on deletion, and others to foreign tables."
                )
        return reasons

    def _foreign_keys(self, cursor: CursorWrapper) -> Iterator[tuple[str, str]]:
        for name in self._names:
            cursor.execute('SELECT "table", on_delete FROM pragma_foreign_key_list(%s)', (name,))
            yield from cursor.fetchall()

    def _has_foreign_parents(self, cursor: CursorWrapper) -> bool:
        return any(parent not in self._names for parent, _ in self._foreign_keys(cursor))

    def _acts_on_delete(self, cursor: CursorWrapper) -> bool:
        return any(action != "NO ACTION" for _, action in self._foreign_keys(cursor))

    def make_tables(self, cursor: CursorWrapper) -> None:
        """See `ShadowingPlace.make_tables`."""
        # A temporary table cannot refer to one that is not. What is copied at the end is checked.
        self.connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
        if self._has_foreign_parents(cursor):
            cursor.execute("PRAGMA foreign_keys = OFF")
        for name in self._names:
            cursor.execute(
                "SELECT type, name, sql FROM main.sqlite_master "
                "WHERE tbl_name = %s AND sql IS NOT NULL AND type IN ('table', 'index') "
                "ORDER BY type DESC",
                (name,),
            )
            for kind, _, sql in cursor.fetchall():
                if kind == "table":
                    made = _CREATE_TABLE.sub("CREATE TEMP TABLE ", sql, count=1)
                else:
                    made = _CREATE_INDEX.sub(r"\1temp.", sql, count=1)
                cursor.execute(made.replace("%", "%%"), ())

    def not_hidden(self, cursor: CursorWrapper) -> list[str]:
        """See `ShadowingPlace.not_hidden`."""
        cursor.execute("SELECT name FROM temp.sqlite_master WHERE type = 'table'")
        temporary = {name for (name,) in cursor.fetchall()}
        return [name for name in self._names if name not in temporary]

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """See `Place.finishing`."""
        connection = self.connection
        connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]
        try:
            yield
        finally:
            connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]

    def finish(self, apply_rest: Callable[[], object]) -> None:
        """See `Place.finish`."""
        with self.building():
            apply_rest()
        quote = self.connection.ops.quote_name
        with self.connection.cursor() as cursor:
            for name in reversed(self._names):
                cursor.execute(f"DELETE FROM main.{quote(name)}")
            for name in self._names:
                cursor.execute(
                    "SELECT name FROM pragma_table_xinfo(%s, 'main') WHERE hidden = 0", (name,)
                )
                columns = ", ".join(quote(column) for (column,) in cursor.fetchall())
                cursor.execute(
                    f"INSERT INTO main.{quote(name)} ({columns}) "
                    f"SELECT {columns} FROM temp.{quote(name)}"
                )
                cursor.execute(f"PRAGMA main.foreign_key_check({quote(name)})")
                if broken := cursor.fetchone():
                    raise DatabaseError(
                        f"A rebuilt row of {name} refers to one of {broken[2]} that is not there."
                    )

    def is_busy(self, error: DatabaseError) -> bool:
        """See `Place.is_busy`."""
        return "locked" in str(error)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Place.snapshot`."""
        with transaction.atomic(using=self.using):
            yield

    def sides(self) -> dict[Model, Sides]:
        """See `Place.sides`."""
        quote = self.connection.ops.quote_name
        return {
            model: Sides(f"main.{quote(name)}", f"temp.{quote(name)}")
            for model, name in zip(self.models, self._names, strict=True)
        }
