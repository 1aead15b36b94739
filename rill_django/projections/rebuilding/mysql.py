"""Beside the live rows on MySQL and MariaDB: temporary tables, copied at the end in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, transaction
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.places import Sides
from rill_django.projections.rebuilding.shadowing import ShadowingPlace
from rill_django.projections.rebuilding.tables import Model

_BUSY = frozenset({1205, 1213})  # Lock wait timeout, deadlock.


class MySQLPlace(ShadowingPlace):
    """See `Place`. A hidden table has no other name, so the temporary ones have to step aside."""

    @property
    def _aside(self) -> dict[str, str]:
        """Names that the temporary tables have when they do not hide the live ones."""
        quote = self.connection.ops.quote_name
        return {
            quote(model._meta.db_table): quote(f"{self.name}_{number}")
            for number, model in enumerate(self.models)
        }

    def reasons_against(self) -> list[str]:
        """See `Place.reasons_against`."""
        reasons = super().reasons_against()
        with self.connection.cursor() as cursor:
            for model in self.models:
                name = model._meta.db_table
                cursor.execute(
                    "SELECT c.CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS c "
                    "WHERE c.CONSTRAINT_SCHEMA = DATABASE() AND c.TABLE_NAME = %s "
                    "AND (c.DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT'))",
                    (name,),
                )
                reasons += [
                    f"{constraint} acts on deletion, which no temporary table does."
                    for (constraint,) in cursor.fetchall()
                ]
                cursor.execute(
                    "SELECT DISTINCT CONCAT(k.TABLE_NAME, '.', k.CONSTRAINT_NAME) "
                    "FROM information_schema.KEY_COLUMN_USAGE k "
                    "WHERE k.TABLE_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME = %s",
                    (name,),
                )
                ours = tuple(f"{one._meta.db_table}." for one in self.models)
                reasons += [
                    f"{reference} refers to it from outside."
                    for (reference,) in cursor.fetchall()
                    if not reference.startswith(ours)
                ]
        return reasons

    def make_tables(self, cursor: CursorWrapper) -> None:
        """See `ShadowingPlace.make_tables`."""
        for live, aside in self._aside.items():
            cursor.execute(f"CREATE TEMPORARY TABLE {aside} LIKE {live}")
            cursor.execute(f"ALTER TABLE {aside} RENAME TO {live}")

    def not_hidden(self, cursor: CursorWrapper) -> list[str]:
        """See `ShadowingPlace.not_hidden`. No catalog of all servers knows temporary tables."""
        found = []
        for name in self._aside:
            cursor.execute(f"SHOW CREATE TABLE {name}")
            if not cursor.fetchone()[1].startswith("CREATE TEMPORARY"):
                found.append(name)
        return found

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """See `Place.finishing`. Outside the transaction, since renaming would end it."""
        with self.building():
            pass  # It would be the live ones that are renamed.
        with self.connection.cursor() as cursor:
            for live, aside in self._aside.items():
                cursor.execute(f"ALTER TABLE {live} RENAME TO {aside}")
            try:
                yield
            except Exception:
                for live, aside in self._aside.items():
                    cursor.execute(f"ALTER TABLE {aside} RENAME TO {live}")
                raise

    def finish(self, apply_rest: Callable[[], object]) -> None:
        """See `Place.finish`."""
        with self.connection.constraint_checks_disabled(), self.connection.cursor() as cursor:
            # Rows may refer to each other in any order; all of them go and all of them come.
            for live in self._aside:
                cursor.execute(f"DELETE FROM {live}")
            for live, aside in self._aside.items():
                columns = self._columns(cursor, live)
                cursor.execute(f"INSERT INTO {live} ({columns}) SELECT {columns} FROM {aside}")
        # The live tables are no longer hidden.
        apply_rest()

    def _columns(self, cursor: CursorWrapper, quoted_name: str) -> str:
        cursor.execute(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
            "AND TABLE_NAME = %s AND COALESCE(GENERATION_EXPRESSION, '') = '' "
            "ORDER BY ORDINAL_POSITION",
            (quoted_name.strip("`"),),
        )
        return ", ".join(self.connection.ops.quote_name(name) for (name,) in cursor.fetchall())

    def is_busy(self, error: DatabaseError) -> bool:
        """See `Place.is_busy`."""
        return bool(error.args) and error.args[0] in _BUSY

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Place.snapshot`."""
        with self.connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with transaction.atomic(using=self.using):
            yield

    def sides(self) -> dict[Model, Sides]:
        """See `Place.sides`. Renaming would end the snapshot; these statements do not."""
        with self.connection.cursor() as cursor:
            for live, aside in self._aside.items():
                # Under its own name it cannot be copied from, and the copy hides nothing.
                cursor.execute(f"CREATE TEMPORARY TABLE {aside} AS SELECT * FROM {live}")
                cursor.execute(f"DROP TEMPORARY TABLE {live}")
        return {
            model: Sides(live, aside)
            for model, (live, aside) in zip(self.models, self._aside.items(), strict=True)
        }
