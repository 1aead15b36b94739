"""How fast to go: how much at a time, and how long to wait after a failure."""

from __future__ import annotations

import random

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 30.0

FIRST_EVENTS = 500
QUICK_SECONDS, SLOW_SECONDS = 0.2, 0.5
"""Others may wait for the locks of a batch, on SQLite every writer: so long it may take."""


def pause_after(failures: int) -> float:
    """Return how many seconds to wait before trying again; longer every time, and never the same."""
    pause: float = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 30), LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(0.5, 1.0)


class Pace:
    """How many events to apply in one transaction: a commit costs time, and so does a long one others.

    Args:
        most: never more than this.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.events = min(FIRST_EVENTS, most)

    def adapt(self, seconds: float) -> None:
        """Take note of how long a full batch took."""
        if seconds < QUICK_SECONDS:
            self.events = min(self.events * 2, self._most)
        elif seconds > SLOW_SECONDS:
            self.events = min(max(self.events // 2, FIRST_EVENTS), self._most)
