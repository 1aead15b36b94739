"""Gives positions to committed events, and knows when all that is committed has one."""

from __future__ import annotations

import logging
import time

from django.db import DataError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import Dialect, Look, Pass
from rill_django.store.floor import Floor, floor_of
from rill_django.store.protocol import (
    LAST_POSITION,
    NoPositionLeft,
    SequencerHeld,
    Waiting,
)

logger = logging.getLogger("rill_django.store")

PATIENCE_SECONDS = 30.0
"""How long somebody else is waited for who holds the sequencer's lock.

Longer than the database lets a hung one of this library keep it: see `STATEMENT_SECONDS`.
"""

PAUSE_SECONDS = 0.005
"""Between two looks whether he is done."""

PAUSE_TO_TELL_SECONDS = 0.5
"""Longer than a pass takes: then who still holds the lock, while nothing has moved, does not go on."""


class Sequencer:
    """The sequencer of one log, over one connection.

    Args:
        connection: to the database of the log.
        dialect: what is peculiar to it.
        is_left_to_others: give no positions; for inside a transaction of the caller's.
    """

    def __init__(
        self, connection: BaseDatabaseWrapper, dialect: Dialect, *, is_left_to_others: bool
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._is_left_to_others = is_left_to_others
        # What a transaction sees says nothing about what others see.
        self._floor = Floor() if connection.in_atomic_block else floor_of(connection, dialect)

    def give(self) -> int:
        """Give positions to what is committed, unless somebody else is at it; return the last position."""
        look = self._look()
        if look.first is None or self._is_left_to_others:
            return look.last
        return self._look().last if self._move(look) else look.last

    def settle(self) -> int:
        """Return the last position when everything has one that was committed before the call.

        Waits for somebody else who is at it.

        Raises:
            SequencerHeld: he takes longer than `PATIENCE_SECONDS`.
        """
        look, goal = self._look(), None
        if look.first is None or self._is_left_to_others:
            return look.last
        started = time.monotonic()
        while look.first is not None and (goal is None or look.first <= goal):
            if self._move(look):
                return self._look().last
            if goal is None:
                with self._connection.cursor() as cursor:
                    goal = self._dialect.last_waiting(cursor, self._floor)
            waited = time.monotonic() - started
            if waited > PATIENCE_SECONDS:
                raise SequencerHeld(round(waited), self._holder())
            time.sleep(PAUSE_SECONDS)
            look = self._look()
        return look.last

    def last(self) -> int:
        """Return the last position that there is now."""
        return self._look().last

    def waiting(self) -> Waiting:
        """See `DjangoEventStore.waiting`."""
        with self._connection.cursor() as cursor:
            waiting = self._dialect.waiting(cursor, self._floor)
        if waiting.oldest_seconds < PATIENCE_SECONDS or not (holder := self._holder()):
            return waiting
        # Old events of an import have waited for a moment only.
        first = self._look().first
        time.sleep(PAUSE_TO_TELL_SECONDS)
        is_moving = first is None or self._look().first != first
        return waiting if is_moving else waiting._replace(holder=holder)

    def _holder(self) -> str:
        with self._connection.cursor() as cursor:
            return self._dialect.sequencer_holder(cursor)

    def _look(self) -> Look:
        with self._connection.cursor() as cursor:
            look = self._dialect.look(cursor, self._floor)
        if look.first is None:
            self._floor.note(self._connection, look)
        return look

    def _move(self, look: Look) -> bool:
        """Give positions to all that the look can have seen; return whether nobody else was at it."""
        while (done := self._pass()) is Pass.MORE:
            pass
        if done is Pass.DONE:
            self._floor.note(self._connection, look)
        return done is Pass.DONE

    def _pass(self) -> Pass:
        """Give some positions.

        Raises:
            NoPositionLeft: somebody has written the highest position.
        """
        try:
            return self._dialect.sequence(self._connection, self._floor)
        except (IntegrityError, DataError):
            if self.last() == LAST_POSITION:
                raise NoPositionLeft from None
            with self._connection.cursor() as cursor:
                number = self._dialect.leave_queue(cursor)
            if not number:
                raise
            logger.error(
                "%d events waited for positions that they have, and kept others from theirs: somebody has "
                "queued them by hand. They wait no longer.",
                number,
            )
            return Pass.MORE
