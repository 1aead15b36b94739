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

LAST_POSITION = (
    f"(SELECT position, event_id FROM {POSITIONS} ORDER BY position DESC LIMIT 1) AS last"
)

SEEN = (
    "last.position, last.event_id, DATABASE(), "
    f"(SELECT known.event_id FROM {POSITIONS} known WHERE known.position = %s)"
)
"""What a look brings along, with `Known.parameters`."""


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
    def parameters(self) -> tuple[int]:
        """Return what `SEEN` asks for."""
        return (self.position,)

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
        self._taken: tuple[int, float] | None = None

    def known(self) -> Known:
        """Return what is known; nothing for a look that has to begin at the beginning."""
        with self._lock:
            return Known() if self._whole.is_due() else self._known

    def note(self, connection: BaseDatabaseWrapper, look: Look) -> None:
        """See `Floor.note`. Looks at what is not committed now and then, where there is much to gain."""
        if look.last_event is None:
            return
        now = time.monotonic()
        with self._lock:
            self._known = self._known._replace(
                database=str(look.seen), position=look.last, event=look.last_event
            )
            known, taken = self._known, self._taken
            if taken is None or (
                now - taken[1] >= GRACE_SECONDS and taken[0] < known.id + WORTH_RAISING
            ):
                self._taken = look.last_event, now
                return
            if now - taken[1] < GRACE_SECONDS:
                return
            self._taken = None
        late = _not_committed(connection, known, upto=taken[0])
        with self._lock:
            if late is not None and self._known.id == known.id:
                self._known = self._known._replace(id=taken[0], late=late)


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
