"""Below which event ids nothing can wait any more, on PostgreSQL: by the transactions that are under way.

What is needed for "nothing can come at this id or below": every transaction that has taken such an id has
ended, and what it has left in the queue has got its position. Transactions are told apart by their numbers.
An append takes its transaction's number first and then its ids, so a number that is taken now is greater
than those of all who have an id that is known by now.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import POSITIONS, UNSEQUENCED, Look
from rill_django.store.floor import WORTH_RAISING, Floor, WholeLooks

GRACE_SECONDS = 1.0
"""How old an id has to be. For appends by other means than this library's, which take their number last."""

LEARN_EVERY_SECONDS = 0.2
"""How often a look brings along what is needed to learn from it, and so takes twice as long."""

HELD_AFTER_SECONDS = 1.0
"""How long a transaction goes on before the floor is raised in spite of it, for as long as it goes on."""

HELD_AT_MOST = 100
"""Transactions that the floor may be raised in spite of."""

FLOOR = f"""(SELECT CASE
    WHEN '{UNSEQUENCED}'::regclass::oid <> %(queue)s::oid
        OR extract(epoch FROM pg_postmaster_start_time())::text <> %(server)s
        OR NOT EXISTS (
            SELECT 1 FROM {POSITIONS} WHERE position = %(position)s AND event_id = %(event)s)
    THEN 0
    WHEN EXISTS (
        SELECT 1 FROM unnest(%(late)s::text[]) AS late(number)
        WHERE pg_visible_in_snapshot(late.number::xid8, pg_current_snapshot()))
    THEN %(low)s ELSE %(high)s END)"""
"""The floor, proven by the statement's own snapshot: 0 for another log than the one it was found for, and
the low one if a transaction has ended that the high one is held in spite of."""

SEEN = f"""pg_current_snapshot()::text, '{UNSEQUENCED}'::regclass::oid::bigint,
extract(epoch FROM pg_postmaster_start_time())::text,
%(position)s = 0 OR EXISTS (
    SELECT 1 FROM {POSITIONS} WHERE position = %(position)s AND event_id = %(event)s)"""
"""What a look brings along for `Snapshot`."""

NOTHING: dict[str, Any] = {
    "queue": 0,
    "server": "",
    "position": 0,
    "event": 0,
    "late": [],
    "low": 0,
    "high": 0,
}
"""Parameters of the floor that nobody knows: looks begin at the beginning."""

_TAKE_NUMBER = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_xact_id()::text END"


class Snapshot(NamedTuple):
    """Which transactions a statement saw as ended, and where."""

    running: frozenset[int]
    """Those below `beyond` that were under way."""
    beyond: int
    """All from this number on were under way, or not begun."""
    queue: int
    server: str
    is_same_log: bool
    """Whether the event that was known last is still where it was."""

    @classmethod
    def of(cls, text: str, queue: int, server: str, is_same_log: bool) -> Snapshot:
        """Read it from what `SEEN` says."""
        _, beyond, running = text.split(":")
        numbers = frozenset(map(int, filter(None, running.split(","))))
        return cls(numbers, int(beyond), queue, server, is_same_log)

    def left_of(self, numbers: frozenset[int]) -> frozenset[int]:
        """Return those of the transactions that were under way."""
        return frozenset(one for one in numbers if one >= self.beyond or one in self.running)


class Quick(NamedTuple):
    """A look in one small statement, which teaches nothing.

    Attributes:
        statement: asks for the last position, the first id that waits, whether the log still is the
            one that the floor was found for, and the queue's oid.
        queue: what that has to be.
    """

    statement: str
    queue: int


class _Mark(NamedTuple):
    """Nothing can come at an id or below, but from these transactions."""

    id: int
    late: frozenset[int]
    since: float


class PostgreSQLFloor(Floor):
    """See `Floor`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._whole = WholeLooks()
        self.forget()

    def forget(self) -> None:
        """See `Floor.forget`."""
        self._low = 0
        self._held: _Mark | None = None
        self._candidate: _Mark | None = None
        self._known: tuple[int, float] | None = None
        self._numbered: tuple[int, int] | None = None
        self._where = (0, "")
        self._place = (0, 0)
        self._learned_at = -LEARN_EVERY_SECONDS

    def parameters(self) -> dict[str, Any]:
        """See `Floor.parameters`."""
        with self._lock:
            if self._whole.take():
                return NOTHING
            held = self._held
            return {
                "queue": self._where[0],
                "server": self._where[1],
                "position": self._place[0],
                "event": self._place[1],
                "late": [str(one) for one in held.late] if held else [],
                "low": self._low,
                "high": held.id if held else self._low,
            }

    def quick(self) -> Quick | None:
        """Return a quick look, if one is good enough this time."""
        with self._lock:
            now = time.monotonic()
            is_learning = now - self._learned_at >= LEARN_EVERY_SECONDS
            if is_learning or self._held or not self._place[0] or self._whole.is_due:
                return None
            position, event = self._place
            return Quick(
                f"SELECT (SELECT max(position) FROM {POSITIONS}), "
                f"(SELECT min(event_id) FROM {UNSEQUENCED} WHERE event_id > {self._low:d}), "
                f"(SELECT event_id FROM {POSITIONS} WHERE position = {position:d}) = {event:d}, "
                f"'{UNSEQUENCED}'::regclass::oid::bigint",
                self._where[0],
            )

    def note(self, connection: BaseDatabaseWrapper, look: Look) -> None:
        """See `Floor.note`. Takes a transaction's number now and then, where there is much to gain."""
        if look.seen is None:
            return
        with self._lock:
            is_due = self._learn(look)
            known = self._known
        if not is_due or known is None:
            return
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_NUMBER)
            (number,) = cursor.fetchone()
        with self._lock:
            if self._known != known:
                return
            self._known = None
            if number is not None:
                self._numbered = known[0], int(number)

    def _learn(self, look: Look) -> bool:
        """Take note of a look; return whether a transaction's number would take it further."""
        snapshot, now = look.seen, time.monotonic()
        assert isinstance(snapshot, Snapshot)
        self._learned_at = now
        if self._where != (snapshot.queue, snapshot.server) or not snapshot.is_same_log:
            self.forget()
            self._learned_at = now
            self._where = snapshot.queue, snapshot.server
        if look.last_event is None:
            return False
        self._place = look.last, look.last_event
        if self._numbered and snapshot.beyond > self._numbered[1]:
            # Everybody who has an id up to this one is among these, or had ended by then.
            id, number = self._numbered
            late = frozenset(one for one in snapshot.running if one < number)
            self._candidate, self._numbered = _Mark(id, late, now), None
        self._candidate = self._reduced(self._candidate, snapshot)
        self._held = self._reduced(self._held, snapshot)
        if self._held and self._held.id <= self._low:
            self._held = None
        candidate = self._candidate
        if candidate and now - candidate.since >= HELD_AFTER_SECONDS:
            if len(candidate.late) <= HELD_AT_MOST:
                self._held = candidate
            self._candidate = candidate = None
        if self._known is None:
            self._known = look.last_event, now
            return False
        id, since = self._known
        if now - since < GRACE_SECONDS or candidate or self._numbered:
            return False
        if id < max(self._low, self._held.id if self._held else 0) + WORTH_RAISING:
            self._known = look.last_event, now
            return False
        return True

    def _reduced(self, mark: _Mark | None, snapshot: Snapshot) -> _Mark | None:
        """Return a mark without those who have ended; without anybody left it becomes the floor."""
        if mark is None:
            return None
        late = snapshot.left_of(mark.late)
        if late:
            return mark._replace(late=late)
        self._low = max(self._low, mark.id)
        return None
