"""How fast to go: how much at a time, and how long to wait after a failure."""

from __future__ import annotations

import random
import time

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 30.0

FIRST_EVENTS = 500
QUICK_SECONDS, SLOW_SECONDS = 0.2, 0.5
"""Others may wait for the locks of a batch, on SQLite every writer: so long it may take."""

FREE_PART = 0.2
LONGEST_BREATH_SECONDS = 0.1


def pause_after(failures: int, *, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """Return how many seconds to wait before trying again; longer every time, and never the same."""
    pause: float = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 30), longest)
    return pause * random.uniform(0.5, 1.0)


class Pace:
    """How many events to apply in one transaction: a commit costs time, and so does a long one others.

    Args:
        most: never more than this.
        first: so many to begin with.
    """

    def __init__(self, most: int, *, first: int = FIRST_EVENTS) -> None:
        self._most = most
        self.events = min(first, most)

    def adapt(self, seconds: float) -> None:
        """Take note of how long a full batch took."""
        if seconds < QUICK_SECONDS:
            self.grow()
        elif seconds > SLOW_SECONDS:
            self.events = max(self.events // 2, min(self.events, FIRST_EVENTS))

    def grow(self) -> None:
        """Ask for more."""
        self.events = min(self.events * 2, self._most)

    def cut(self, events: int) -> None:
        """Take note that no more than so many could be applied in the time that there was."""
        self.events = max(events, 1)

    def halve(self) -> None:
        """Ask for less: what the database could not do may be less trouble in smaller portions."""
        self.events = max(self.events // 2, 1)


class Breaths:
    """Leaves the lock of a database that has one writer at a time to others, between slow batches.

    SQLite has no queue for it: who waits tries again now and then, at last every 100 ms, and would
    hardly ever find the moment between two batches that follow each other. Quick handlers need none: to
    read the next batch takes long enough.
    """

    def __init__(self) -> None:
        self._owed = 0.0
        self._since = 0.0

    def take(self) -> None:
        """Wait until the lock has been free for long enough."""
        if self._owed:
            time.sleep(max(self._since + self._owed - time.monotonic(), 0.0))
            self._owed = 0.0

    def owe(self, using: str, seconds: float) -> None:
        """Note that a batch has just ended, for which handlers held a database's lock so long."""
        connection = connections[using]
        assert isinstance(connection, BaseDatabaseWrapper)
        if connection.vendor == "sqlite":
            self._owed = min(seconds * FREE_PART, LONGEST_BREATH_SECONDS)
            self._since = time.monotonic()
