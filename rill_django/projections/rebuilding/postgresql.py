"""Beside the live rows on PostgreSQL: a schema with the same tables, swapped in one short transaction."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.rebuilding.errors import CannotBuildBeside, RowsBesideLost
from rill_django.projections.rebuilding.places import Place, Sides
from rill_django.projections.rebuilding.postgresql_definitions import (
    Table,
    definitions,
    find_tables,
    quoted,
    search_path_before,
)
from rill_django.projections.rebuilding.postgresql_obstacles import obstacles
from rill_django.projections.rebuilding.postgresql_privileges import (
    continue_sequences,
    equalise_privileges,
    name_sequences_alike,
)
from rill_django.projections.rebuilding.tables import Model

logger = logging.getLogger("rill_django.projections")

LOCK_TIMEOUT = "200ms"
"""How long readers may be kept waiting behind our wait for the tables."""

_BUSY = frozenset(
    {"55P03", "40P01", "40001"}
)  # Lock not available, deadlock, serialization failure.
_GONE = frozenset({"3F000", "42P01"})  # No such schema, no such table.

# Whoever reads with a snapshot from before would, in the new tables, see rows as they were when they
# were half built. A statement of its own that runs long has opened its tables already.
_OLD_SNAPSHOTS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND backend_xmin IS NOT NULL AND age(backend_xmin) > age(%s::text::xid)
  AND (state <> 'active' OR query_start > xact_start)
ORDER BY pid
"""


class PostgreSQLPlace(Place):
    """See `Place`."""

    keeps_progress = True

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._guard: BaseDatabaseWrapper | None = None
        self._caught_up_at: str | None = None

    @property
    def _schema(self) -> str:
        return quoted(self.name)

    def reasons_against(self) -> list[str]:
        """See `Place.reasons_against`."""
        reasons = super().reasons_against()
        with self.connection.cursor() as cursor:
            tables = find_tables(cursor, self._names)
            if len(tables) < len(self._names):
                missing = set(self._names) - {table.name for table in tables}
                return [*reasons, f"There is no table {', '.join(sorted(missing))}: migrate first."]
            if len({table.schema for table in tables}) > 1:
                reasons.append("Its tables are in different schemas.")
            return reasons + obstacles(cursor, tables)

    @property
    def _names(self) -> list[str]:
        return [model._meta.db_table for model in self.models]

    def claim(self) -> bool:
        """See `Place.claim`. A lock of a transaction, which a transaction-mode pooler leaves alone."""
        guard = connections.create_connection(self.using)
        assert isinstance(guard, BaseDatabaseWrapper)
        guard.set_autocommit(False)
        with guard.cursor() as cursor:
            # Under another level an idle transaction keeps its snapshot, and `waits_for` would wait for it.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s), 1)", (self.name,))
            is_ours: bool = cursor.fetchone()[0]
            # The last one must not be a query: bound by the server, it keeps its snapshot as well.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        if is_ours:
            self._guard = guard
        else:
            guard.close()
        return is_ours

    def release(self) -> None:
        """See `Place.release`."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def is_as_left(self) -> bool:
        """See `Place.is_as_left`."""
        with transaction.atomic(using=self.using):
            digest, _ = self._noted()
            return digest == self._digest(self._statements())

    def division(self) -> str:
        """See `Place.division`."""
        _, division = self._noted()
        return division

    def note_division(self, division: str) -> None:
        """See `Place.note_division`. A comment on the schema, which goes with it, needs no table."""
        digest, _ = self._noted()
        if not digest:
            raise RowsBesideLost(f"The schema {self.name} has gone meanwhile.")
        self._note(f"{digest}, {division}" if division else digest)

    def _noted(self) -> tuple[str, str]:
        """Return the digest of the tables' definitions, and the division."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s",
                (self.name,),
            )
            (comment,) = cursor.fetchone() or ("",)
        digest, _, division = (comment or "").partition(", ")
        return digest, division

    def _note(self, comment: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"COMMENT ON SCHEMA {self._schema} IS '{comment}'")

    def _statements(self) -> list[str]:
        with self.connection.cursor() as cursor:
            return definitions(cursor, find_tables(cursor, self._names), self.name)

    @staticmethod
    def _digest(statements: list[str]) -> str:
        text = "\n".join(statements).encode()
        return f"rill_django: {hashlib.blake2b(text, digest_size=16).hexdigest()}"

    def make(self) -> None:
        """See `Place.make`."""
        with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
            # A foreign key to a table of others locks that one, for a moment.
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
            cursor.execute(f"CREATE SCHEMA {self._schema}")
            statements = self._statements()
            for statement in statements:
                cursor.execute(statement)
            self._note(self._digest(statements))
            for live, beside in self._pairs():
                name_sequences_alike(cursor, live, beside)
                equalise_privileges(cursor, live, beside)

    def _pairs(self) -> list[tuple[Table, Table]]:
        with self.connection.cursor() as cursor:
            live = find_tables(cursor, self._names)
            with search_path_before(cursor, self.name):
                beside = find_tables(cursor, self._names)
        if any(one.schema != self.name for one in beside):
            raise RowsBesideLost(f"The schema {self.name} has gone meanwhile.")
        return list(zip(live, beside, strict=True))

    def drop(self) -> None:
        """See `Place.drop`."""
        with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")

    @contextmanager
    def building(self) -> Iterator[None]:
        """See `Place.building`."""
        with self.connection.cursor() as cursor:
            # If they were gone, the live ones would be what the names mean.
            beside = ", ".join(f"{self._schema}.{quoted(name)}" for name in self._names)
            try:
                cursor.execute(f"LOCK TABLE {beside} IN ROW EXCLUSIVE MODE")
            except DatabaseError as error:
                if getattr(error.__cause__, "sqlstate", None) in _GONE:
                    raise RowsBesideLost(f"The schema {self.name} has gone meanwhile.") from error
                raise
            with search_path_before(cursor, self.name):
                yield

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """See `Place.finishing`."""
        yield

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Iterator[None]:
        """See `Place.waiting_at_most`. By default PostgreSQL waits for ever."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            (before,) = cursor.fetchone()
            cursor.execute(f"SET LOCAL lock_timeout = '{seconds * 1000:.0f}ms'")
            yield  # An error ends the transaction, and the setting with it.
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", (before,))

    def waits_for(self) -> str:
        """See `Place.waits_for`."""
        with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
            if self._caught_up_at is None:
                # New tables have no statistics, and the first queries would be planned without.
                for name in self._names:
                    cursor.execute(f"ANALYZE {self._schema}.{quoted(name)}")
                cursor.execute("SELECT pg_current_xact_id()::xid::text")
                self._caught_up_at = cursor.fetchone()[0]
                return "statistics"
            cursor.execute(_OLD_SNAPSHOTS, (self._caught_up_at,))
            sessions = ", ".join(str(pid) for (pid,) in cursor.fetchall())
            return f"sessions with an old snapshot to end: {sessions}" if sessions else ""

    def finish(self, apply_rest: Callable[[], object]) -> None:
        """See `Place.finish`."""
        with self.building():
            apply_rest()
        with self.connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            pairs = self._pairs()
            tables = ", ".join(live.quoted for live, _ in pairs)
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
            if not self.is_as_left():
                raise RowsBesideLost(
                    f"The tables of {self.projection.name} have been changed during its rebuild."
                )
            if reasons := self.reasons_against():
                raise CannotBuildBeside(self.projection.name, reasons)
            for live, beside in pairs:
                equalise_privileges(cursor, live, beside)
                continue_sequences(cursor, live, beside)
            cursor.execute(f"DROP TABLE {tables}")
            for live, beside in pairs:
                cursor.execute(f"ALTER TABLE {beside.quoted} SET SCHEMA {quoted(live.schema)}")
            cursor.execute(f"DROP SCHEMA {self._schema}")

    def is_busy(self, error: DatabaseError) -> bool:
        """See `Place.is_busy`."""
        return getattr(error.__cause__, "sqlstate", None) in _BUSY

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Place.snapshot`."""
        with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def sides(self) -> dict[Model, Sides]:
        """See `Place.sides`."""
        return {
            model: Sides(live.quoted, beside.quoted)
            for model, (live, beside) in zip(self.models, self._pairs(), strict=True)
        }
