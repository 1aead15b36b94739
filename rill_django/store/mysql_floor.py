"""Below which event ids nothing can wait any more, on MySQL and MariaDB: by a look at what is not committed.

A row of the queue that nobody has committed yet can be seen at READ UNCOMMITTED. What is not there some time
after its id was taken never comes: an append puts its events into the queue within `QUEUE_SECONDS`, or not at
all. Rows that a sequencer has taken out, and might put back by a rollback, are excluded by its lock.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import POSITIONS, UNSEQUENCED, Look
from rill_django.store.floor import WORTH_RAISING, Floor, WholeLooks
from rill_django.store.mysql_lock import having_lock

QUEUE_SECONDS = 8
"""How long an append may take from its start until its events are in the queue."""

GRACE_SECONDS = 10.0
"""How old an id has to be: longer than `QUEUE_SECONDS`."""

LATE_AT_MOST = 100
"""Events that are not committed yet and that the floor may be raised in spite of."""


class Known(NamedTuple):
    """Nothing can wait at an id or below, but these.

    Attributes:
        id: the floor.
        late: ids of events below it that were not committed yet.
        database: its name.
        position, event: the last position, and its event's id: whether the log still is the same.
    """

    id: int = 0
    late: tuple[int, ...] = ()
    database: str = ""
    position: int = 0
    event: int = 0

    @classmethod
    def of(cls, floor: Floor) -> Known:
        """Return what a floor knows."""
        return floor.known() if isinstance(floor, MySQLFloor) else cls()

    @property
    def seen(self) -> str:
        """Return columns: the last position, the database, and the event at the position that is known."""
        there = f"(SELECT event_id FROM {POSITIONS} WHERE position = {self.position:d})"
        return f"(SELECT MAX(position) FROM {POSITIONS}), DATABASE(), {there}"

    @property
    def first(self) -> str:
        """Return a selection of the lowest id that waits."""
        if self.late:
            return f"SELECT MIN(event_id) FROM ({self.queue(1)}) AS queued"
        return f"SELECT MIN(event_id) FROM {UNSEQUENCED} WHERE event_id > {self.id:d}"

    def is_true_of(self, database: str, event: int | None) -> bool:
        """Whether this is known of the log that has the event at the position."""
        return not self.position or (self.database, self.event) == (database, event)

    def queue(self, limit: int, *, direction: str = "ASC") -> str:
        """Return a selection of ids that wait, of as many as asked for, and maybe of some more."""
        above = f"WHERE event_id > {self.id:d} " if self.id else ""
        found = f"SELECT event_id FROM {UNSEQUENCED} {above}ORDER BY event_id {direction} LIMIT {limit:d}"
        if not self.late:
            return found
        late = ", ".join(map(str, self.late))
        return (
            f"({found}) UNION ALL (SELECT event_id FROM {UNSEQUENCED} WHERE event_id IN ({late}))"
        )


class MySQLFloor(Floor):
    """See `Floor`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._whole = WholeLooks()
        self.forget()

    def forget(self) -> None:
        """Know nothing: the log is another one."""
        self._known = Known()
        self._taken: int | None = None
        self._due = 0.0

    def known(self) -> Known:
        """Return what is known; nothing for a look that has to begin at the beginning."""
        with self._lock:
            return Known() if self._whole.take() else self._known

    def note(self, connection: BaseDatabaseWrapper, look: Look) -> None:
        """See `Floor.note`. Looks at what is not committed now and then, where there is much to gain."""
        now = time.monotonic()
        with self._lock:
            if not look.last or now < self._due:
                return
            self._due = now + GRACE_SECONDS
            known, taken = self._known, self._taken
        place = _last_place(connection)
        if place is None:
            return
        with self._lock:
            if self._known != known:
                return
            self._known = known = known._replace(
                database=str(look.seen), position=place[0], event=place[1]
            )
            # What has its position now was given its id by now; the next time that is long enough ago.
            self._taken = place[1]
        if taken is None or taken < known.id + WORTH_RAISING:
            return
        late = _not_committed(connection, known, upto=taken)
        with self._lock:
            if late is not None and self._known.id == known.id:
                self._known = self._known._replace(id=taken, late=late)


def _last_place(connection: BaseDatabaseWrapper) -> tuple[int, int] | None:
    """Return the last position, and the id of its event."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT position, event_id FROM {POSITIONS} ORDER BY position DESC LIMIT 1")
        found: tuple[int, int] | None = cursor.fetchone()
        return found


def _not_committed(
    connection: BaseDatabaseWrapper, known: Known, *, upto: int
) -> tuple[int, ...] | None:
    """Return what may still wait up to an id; ``None``: it cannot be said now, or is too much."""
    wanted = f"event_id > {known.id:d} AND event_id <= {upto:d}"
    if known.late:
        wanted = f"({wanted}) OR event_id IN ({', '.join(map(str, known.late))})"
    with connection.cursor() as cursor, having_lock(connection, cursor) as is_ours:
        if not is_ours:
            return None
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        cursor.execute(
            f"SELECT event_id FROM {UNSEQUENCED} WHERE {wanted} "
            f"ORDER BY event_id LIMIT {LATE_AT_MOST + 1}"
        )
        late = tuple(id for (id,) in cursor.fetchall())
    return late if len(late) <= LATE_AT_MOST else None
