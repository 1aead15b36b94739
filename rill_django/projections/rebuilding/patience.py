"""Waiting for others: how long, and when to say so."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from rill_django.projections.inline.locks import patience_after

logger = logging.getLogger("rill_django.projections")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
SAY_EVERY_SECONDS = 10.0
FEW_FAILURES = 3
"""So often others may be in the way without anybody being told."""


class Patience:
    """Has a rebuild try again what others were in the way of: later every time, and asking for more.

    Args:
        projection: name of the one that is rebuilt.
    """

    def __init__(self, projection: str) -> None:
        self.failures = 0
        """How often it was in vain so far."""
        self._projection = projection
        self._whom = ""
        self._due = 0.0
        self._said = -SAY_EVERY_SECONDS

    @property
    def pause(self) -> float:
        """Seconds until the next try is due."""
        return max(self._due - time.monotonic(), 0.0)

    @property
    def for_locks(self) -> float:
        """Seconds that the next try may wait for a lock."""
        return patience_after(self.failures)

    @contextmanager
    def asking(self, whom: str) -> Iterator[None]:
        """Say who is in the way if the ``with`` block fails: databases tell only that somebody is."""
        self._whom = whom
        yield
        self._whom = ""

    def failed(self, why: str) -> float:
        """Note that it was in vain; return the seconds until the next try is due.

        Args:
            why: for the log, which it is told now and then.
        """
        why = why.strip().partition("\n")[0]
        if self._whom:
            why, self._whom = f"{self._whom} ({why})", ""
        self.failures += 1
        longest: float = min(
            FIRST_PAUSE_SECONDS * 2 ** min(self.failures, 10), LONGEST_PAUSE_SECONDS
        )
        pause = longest * random.uniform(0.5, 1.0)
        now = time.monotonic()
        self._due = now + pause
        if self.failures > FEW_FAILURES and now - self._said >= SAY_EVERY_SECONDS:
            self._said = now
            logger.warning("the rebuild of %s waits for %s", self._projection, why)
        return pause

    def insist(
        self, whom: str, do: Callable[[], None], is_busy: Callable[[DatabaseError], bool]
    ) -> None:
        """Do something, again and again as long as others are in the way.

        Args:
            whom: it would be.
            is_busy: whether an error says that they are; any other is raised.
        """
        while True:
            try:
                with self.asking(whom):
                    do()
            except DatabaseError as error:
                if not is_busy(error):
                    raise
                time.sleep(self.failed(str(error)))
            else:
                self.succeeded()
                return

    def succeeded(self) -> None:
        """Note that nobody was in the way any more."""
        self.failures = 0
