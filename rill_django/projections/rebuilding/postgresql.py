"""Beside the live rows on PostgreSQL: a schema with the same tables, swapped in one short transaction.

Where somebody is told of every change of the live tables, rows are copied in place of swapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.projections.postgresql_schemas import refuse_rows_of_another_schema
from rill_django.projections.rebuilding.errors import (
    CannotBuildBeside,
    LiveRowsTouched,
    RowsBesideLost,
)
from rill_django.projections.rebuilding.places import Place, Sides
from rill_django.projections.rebuilding.postgresql_beside import LOCK_TIMEOUT, SchemaBeside
from rill_django.projections.rebuilding.postgresql_copying import copy_rows
from rill_django.projections.rebuilding.postgresql_names import (
    Table,
    find_tables,
    quoted,
    schema_of,
)
from rill_django.projections.rebuilding.postgresql_obstacles import obstacles
from rill_django.projections.rebuilding.postgresql_privileges import (
    continue_sequences,
    equalise_privileges,
)
from rill_django.projections.rebuilding.postgresql_proof import Proof
from rill_django.projections.rebuilding.postgresql_replication import (
    has_logged_tables,
    is_replicated,
)
from rill_django.projections.rebuilding.tables import Model
from rill_django.store.postgresql_cursors import begin_at, begun_at

_BUSY = frozenset(
    {"55P03", "40P01", "40001"}
)  # Lock not available, deadlock, serialization failure.

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

    @cached_property
    def name(self) -> str:
        """See `Place.name`. Live tables of one name may be in several schemas: one for each tenant."""
        schema = self._live_schema
        return self._named("" if schema == "public" else schema)

    @cached_property
    def _live_schema(self) -> str:
        """Where the live tables are: what their names mean to whoever asks first, outside `building`."""
        with self.connection.cursor() as cursor:
            return schema_of(cursor, self._names)

    @cached_property
    def _beside(self) -> SchemaBeside:
        # Triggers act on the live tables when rows are copied, and not when they are compared.
        triggers = self._purpose == "verify"
        return SchemaBeside(self.using, self.name, self._names, triggers_if_copied=triggers)

    def reasons_against(self) -> list[str]:
        """See `Place.reasons_against`."""
        refuse_rows_of_another_schema(self.projection)
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
        # Under another level an idle transaction keeps its snapshot, and `waits_for` would wait for it.
        begin_at(guard, "READ_COMMITTED")
        guard.set_autocommit(False)
        with guard.cursor() as cursor:
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
            # The server takes its time to notice that a connection was closed.
            with suppress(DatabaseError):
                self._guard.rollback()
            self._guard.close()
            self._guard = None

    def is_as_left(self) -> bool:
        """See `Place.is_as_left`."""
        return self._beside.is_as_left()

    def division(self) -> str:
        """See `Place.division`."""
        return self._beside.division

    def note_division(self, division: str) -> None:
        """See `Place.note_division`."""
        self._beside.note_division(division)

    def make(self) -> None:
        """See `Place.make`."""
        self._beside.make()

    def drop(self) -> None:
        """See `Place.drop`."""
        self._beside.drop()

    @contextmanager
    def building(self) -> Iterator[None]:
        """See `Place.building`."""
        with self.connection.cursor() as cursor:
            live = self._found_live(cursor)
            # If they were gone, the live ones would be what the names mean.
            self._beside.lock(cursor)
            with Proof(self.projection.name, self.connection, live, self.name).only_beside(cursor):
                yield
            if is_replicated(cursor, live) and has_logged_tables(cursor, self.name):
                raise RowsBesideLost(
                    f"Since the rebuild of {self.projection.name} began, somebody is told of all changes of "
                    "its tables, who must not be told of the rows beside."
                )

    def _found_live(self, cursor: CursorWrapper) -> list[Table]:
        live = find_tables(cursor, self._names)
        if len(live) < len(self._names) or any(one.schema != self._live_schema for one in live):
            meant = ", ".join(one.quoted for one in live) or "nothing"
            raise LiveRowsTouched(
                self.projection.name,
                f"its rebuild began in the schema {self._live_schema}, and names mean {meant} by now.",
            )
        return live

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
                self._beside.analyze(cursor)
                cursor.execute("SELECT pg_current_xact_id()::xid::text")
                self._caught_up_at = cursor.fetchone()[0]
                return "statistics"
            if self._is_copied(cursor):
                return ""  # Rows that are copied look to each snapshot as they should.
            cursor.execute(_OLD_SNAPSHOTS, (self._caught_up_at,))
            sessions = ", ".join(str(pid) for (pid,) in cursor.fetchall())
            return f"sessions with an old snapshot to end: {sessions}" if sessions else ""

    def finish(self, apply_rest: Callable[[], object]) -> None:
        """See `Place.finish`."""
        with self.building():
            apply_rest()
        with self.connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            pairs = self._beside.pairs()
            is_copied = self._is_copied(cursor)
            mode = "SHARE ROW EXCLUSIVE" if is_copied else "ACCESS EXCLUSIVE"
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"LOCK TABLE {_listed(live for live, _ in pairs)} IN {mode} MODE")
            if not self.is_as_left():
                raise RowsBesideLost(
                    f"The tables of {self.projection.name} have been changed during its rebuild."
                )
            if reasons := self.reasons_against():
                raise CannotBuildBeside(self.projection.name, reasons)
            if is_copied:
                copy_rows(cursor, pairs)
                self._beside.drop()
            else:
                self._swap(cursor, pairs)
                self._beside.drop_when_moved(cursor)

    def _is_copied(self, cursor: CursorWrapper) -> bool:
        return is_replicated(cursor, find_tables(cursor, self._names))

    @staticmethod
    def _swap(cursor: CursorWrapper, pairs: list[tuple[Table, Table]]) -> None:
        for live, beside in pairs:
            equalise_privileges(cursor, live, beside)
            continue_sequences(cursor, live, beside)
        cursor.execute(f"DROP TABLE {_listed(live for live, _ in pairs)}")
        for live, beside in pairs:
            cursor.execute(f"ALTER TABLE {beside.quoted} SET SCHEMA {quoted(live.schema)}")

    def is_busy(self, error: DatabaseError) -> bool:
        """See `Place.is_busy`."""
        return getattr(error.__cause__, "sqlstate", None) in _BUSY

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Place.snapshot`."""
        with (
            begun_at(self.connection, "REPEATABLE_READ"),
            transaction.atomic(using=self.using),
        ):
            yield

    def sides(self) -> dict[Model, Sides]:
        """See `Place.sides`."""
        return {
            model: Sides(live.quoted, beside.quoted)
            for model, (live, beside) in zip(self.models, self._beside.pairs(), strict=True)
        }


def _listed(tables: Iterable[Table]) -> str:
    return ", ".join(one.quoted for one in tables)
