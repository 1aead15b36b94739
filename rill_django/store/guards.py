"""What makes a database itself refuse to change the log, whoever asks it to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.tables import Event, Position, Unsequenced

EVENTS = Event._meta.db_table
POSITIONS = Position._meta.db_table
UNSEQUENCED = Unsequenced._meta.db_table

REFUSAL = (
    "rill_django: events are facts, they are never changed or deleted; "
    "record another event that says what is right"
)
"""What the database says to somebody who tries."""

REFUSED = {
    EVENTS: ("UPDATE", "DELETE"),
    POSITIONS: ("UPDATE", "DELETE"),
    # Rows leave the queue when they get their positions.
    UNSEQUENCED: ("UPDATE",),
}
"""What nobody may do to the rows of a table."""


class Guards:
    """The guards of one kind of database: triggers, above all.

    Attributes:
        creation: statements that put them up.
        removal: statements that take them away, those of earlier releases too, as far as they are there.
    """

    creation: tuple[str, ...]
    removal: tuple[str, ...]

    def faults(self, cursor: CursorWrapper) -> list[str]:
        """Return what is missing, disabled or not as today's code makes it, each in words; none: all stands.

        Tables that are not there need no guards.
        """
        raise NotImplementedError

    def put_up(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Put up what is missing; return what was."""
        with connection.cursor() as cursor:
            faults = self.faults(cursor)
        if faults:
            with self._as_one(connection), connection.cursor() as cursor:
                for statement in (*self.removal, *self.creation):
                    cursor.execute(statement)
        return faults

    @contextmanager
    def down(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Take all guards away inside the ``with`` block, as the owner of the tables may.

        In one transaction, where the database can do so: nobody else sees the log without them.
        """
        with self._as_one(connection):
            with connection.cursor() as cursor:
                for statement in self.removal:
                    cursor.execute(statement)
            try:
                yield
            finally:
                if not connection.needs_rollback:
                    with connection.cursor() as cursor:
                        for statement in self.creation:
                            cursor.execute(statement)

    @contextmanager
    def emptying(self, connection: BaseDatabaseWrapper, *, ids_begin_anew: bool) -> Iterator[None]:
        """Let Django's ``flush`` empty the log inside the ``with`` block.

        Args:
            connection: to the database of the log.
            ids_begin_anew: whether the ids of events begin again at 1.
        """
        with self.down(connection):
            yield

    @contextmanager
    def _as_one(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        if not connection.features.can_rollback_ddl:
            yield
            return
        with transaction.atomic(using=connection.alias):
            yield
