"""Waiting until a database can do again what it is asked, or others have: see `rill_django.store.trouble`."""

from __future__ import annotations

import logging
from time import monotonic

from django.db import connections

from rill_django.projections.pace import pause_after
from rill_django.projections.reasons import reason_of_error
from rill_django.store.trouble import Trouble

logger = logging.getLogger("rill_django.projections")

LONGEST_PAUSE_SECONDS = 5.0
"""So soon after the trouble is over it goes on, at the latest."""

SAY_AFTER_SECONDS = 1.0
"""A deadlock, and what else passes at once, is nobody's concern."""

SAY_EVERY_SECONDS = 60.0
LONG_SECONDS = 60.0
"""What lasts so long needs somebody to look at it: a name that will never be there, for one."""

NEWER_RELEASE = "left to a worker of a newer release"
"""How a reason to wait begins that is not the database's."""

_PATIENCE = {Trouble.OTHERS: 30.0}
_LEAST_PATIENCE = 2.0


class Wait:
    """One that waits, or does not.

    Args:
        name: of what is kept waiting.
        using: alias of the database that is waited for.
    """

    def __init__(self, name: str, using: str) -> None:
        self.reason = ""
        """Why it waits; empty if it does not."""
        self._name = name
        self._using = using
        self._tries = 0
        self._since = self._said_at = 0.0
        self._patience = 0.0

    def __bool__(self) -> bool:
        return bool(self._tries)

    @property
    def seconds(self) -> float:
        """For how long it has been waiting."""
        return monotonic() - self._since if self._tries else 0.0

    @property
    def is_for_long(self) -> bool:
        """Whether somebody who wants to get done should give it up for now."""
        return self.seconds > self._patience

    @property
    def is_worth_telling(self) -> bool:
        """Whether it has lasted longer than what passes at once."""
        return self.seconds >= SAY_AFTER_SECONDS

    def begin_again(self, trouble: Trouble, error: Exception) -> float:
        """Note that it was in vain; return when to try again, by the monotonic clock."""
        self._let_go(trouble)
        reason = f"{trouble.value}: {reason_of_error(error)}"
        return self._again(reason, _PATIENCE.get(trouble, _LEAST_PATIENCE))

    def leave_to_newer_release(self, why: str) -> float:
        """Note that others have to do it; return when to look again, by the monotonic clock."""
        reason = f"{NEWER_RELEASE}: {why}"
        if self.reason != reason:
            self.end()  # Of something else, which they have done.
        return self._again(reason, _LEAST_PATIENCE)

    def _again(self, reason: str, patience: float) -> float:
        if not self._tries:
            self._since = monotonic()
        self._tries += 1
        self._patience = patience
        self.reason = reason
        pause = pause_after(self._tries, longest=LONGEST_PAUSE_SECONDS)
        self._say(pause)
        return monotonic() + pause

    def end(self) -> None:
        """Note that it could be done."""
        if not self._tries:
            return
        if self._said_at:
            logger.info("projection %s goes on after %.0f s", self._name, self.seconds)
        self._tries, self._said_at, self.reason = 0, 0.0, ""

    def _let_go(self, trouble: Trouble) -> None:
        """Give up a connection that may lead to the wrong server by now, or has outlived a migration."""
        connection = connections[self._using]
        if trouble in (Trouble.SERVER, Trouble.SCHEMA) and not connection.in_atomic_block:
            connection.close()

    def _say(self, pause: float) -> None:
        now = monotonic()
        if not self.is_worth_telling or (self._said_at and now - self._said_at < SAY_EVERY_SECONDS):
            return
        self._said_at = now
        logger.log(
            logging.ERROR if self.seconds >= LONG_SECONDS else logging.WARNING,
            "projection %s waits since %.0f s, and tries again in %.1f s: %s",
            self._name,
            self.seconds,
            pause,
            self.reason,
            extra={"projection": self._name},
        )
