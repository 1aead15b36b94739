"""A rebuild beside the live rows, in steps that can be taken between other work."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from django.db import DatabaseError, transaction
from typing_extensions import Self

from rill_django.conf import configuration
from rill_django.projections.batches import Batch
from rill_django.projections.inline.locks import keep_commands_out
from rill_django.projections.live import live_checkpoints
from rill_django.projections.newer_events import refuse_unknown_types
from rill_django.projections.pace import Pace
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.projection import HandlerFailed, Projection
from rill_django.projections.rebuilding.applying import apply_for_a_while, apply_up_to
from rill_django.projections.rebuilding.bookmark import Bookmark
from rill_django.projections.rebuilding.dividing import divide, find_left, gather
from rill_django.projections.rebuilding.errors import (
    AlreadyRebuilding,
    CannotBuildBeside,
    NewerRows,
    RebuildInterrupted,
    ShareLost,
)
from rill_django.projections.rebuilding.parking import ParkingBeside
from rill_django.projections.rebuilding.patience import Patience
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.rebuilding.progress import (
    is_shared_with_commands,
    move_live_checkpoints,
    position_to_reach,
    read_readable,
)
from rill_django.projections.running import Progress
from rill_django.projections.sessions import Session
from rill_django.projections.trust import seen_at
from rill_django.projections.turns import Turn
from rill_django.stopping import Stop
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore, SequencerHeld
from rill_django.store.trouble import trouble_of

logger = logging.getLogger("rill_django.projections")

BATCH_SIZE = 5_000
"""Least number of events in a batch; nobody waits for the rows, so that it may be large."""

STEP_SECONDS = 1.0
"""How long one transaction goes on: rows that are changed often are written once."""

FEW_EVENTS = 500
"""So many are applied in the last step, which keeps the projection's worker waiting."""


class Rebuild:
    """Makes a projection's rows anew beside the live ones, and puts them in their place.

    A context manager. Where the place allows it, what was built is kept when it is left before the end,
    also by ``kill -9``, and taken up by the next one if the projection's version is still the same.

    Args:
        place: where to build.
        store: the log; default: the project's.
        batch_size: most events applied in one transaction; default: as many as take about a second.
        progress: called after every transaction.
        restart: do not take up what was built before.
        only_upwards: do not replace rows of a newer version.
        seconds: how long handlers go on in one transaction.
        stop: ends a transaction early; what is built is kept, where that is possible.
    """

    def __init__(
        self,
        place: Place,
        *,
        store: EventStore | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
        restart: bool = False,
        only_upwards: bool = False,
        seconds: float = STEP_SECONDS,
        stop: Stop | None = None,
    ) -> None:
        self.projection: Projection = place.projection
        self.position = 0
        self.resumed_at = 0
        """Where it took up what was built before."""
        self.shares = 1
        """How many processes have built it, each a share that has a position of its own."""
        self.pause = 0.0
        """Seconds that there is nothing to do before the next step."""
        self._place = place
        self._bookmark = Bookmark(self.projection, is_kept=place.keeps_progress)
        self._store = store or DjangoEventStore()
        self._batch_size = batch_size or max(BATCH_SIZE, configuration().batch_size)
        self._reads_on = batch_size is None
        self._seconds = seconds
        self._stop = stop
        self._pace = Pace(self._batch_size, first=self._batch_size)
        self._progress = progress or (lambda name, position, head: None)
        self._restart = restart
        self._only_upwards = only_upwards
        self._session: Session | None = None
        self._is_done = False
        self._patience = Patience(self.projection.name)
        self._parking = ParkingBeside(self.projection)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None = None) -> None:
        """Leave. What is built is removed if the error says that it is no good."""
        kept = (RebuildInterrupted, ShareLost, SequencerHeld)
        says_nothing = isinstance(error, kept) or (error is not None and trouble_of(error))
        if isinstance(error, Exception) and not says_nothing:
            self.abandon()
        else:
            self.close()

    def start(self) -> None:
        """Make the tables, or take up those that were left.

        Raises:
            CannotBuildBeside: something would be lost.
            AlreadyRebuilding: somebody else is at it.
            UnknownTypes: the log has events that would be left out.
        """
        refuse_unknown_types(self.projection, self._store)
        checkpoints_of(self.projection, self._store)
        with self._place.connected():
            if reasons := self._place.reasons_against():
                raise CannotBuildBeside(self.projection.name, reasons)
            if not self._place.claim():
                raise AlreadyRebuilding(f"Somebody else is rebuilding {self.projection.name}.")
            try:
                self._take_up_or_make()
            except BaseException:
                self._place.release()
                raise

    def _take_up_or_make(self) -> None:
        left = [] if self._restart else find_left(self._place, self._bookmark, self._store)
        if left:
            self.position = self.resumed_at = min(one.position for one in left)
            self.shares = len(left)
            return
        self._bookmark.remove()  # Before, or one whose starter was killed could build in the new ones.
        whom = "those who use the tables that it refers to"
        self._patience.insist(whom, self._place.make, self._place.is_busy)
        self._bookmark.begin()
        self._parking.remove()

    def step(self) -> bool:
        """Apply one batch, or take the last step; return whether there is more to do.

        Raises:
            HandlerFailed, UnreadableEvent: an event cannot be applied, nor may it be parked.
            RowsBesideLost: what was built is gone.
        """
        self.pause = 0.0
        try:
            return self._step()
        except HandlerFailed as error:
            if not self._parking.park(error):
                raise
            return True

    def _step(self) -> bool:
        self.share_out(1)
        with self._place.connected():
            head = self._store.sequence()
            batch = self._read(self.position, head)
            if batch.end < head or len(batch.events) > FEW_EVENTS:
                self._apply(batch, head)
                self._progress(self.projection.name, self.position, head)
                return True
            self.pause = self._patience.pause
            if self.pause:
                return True
            if why := self._place.waits_for():
                self.pause = self._patience.failed(why)
                return True
            self._finish(batch, head)
            return not self._is_done

    def run(self, stop: Stop | None = None) -> int:
        """Take all steps; return the position up to which the rows are built.

        That is behind all events that are committed when it begins.

        Raises:
            SequencerHeld: committed events get no position: somebody else is at it and does not go on.
            RebuildInterrupted: ``stop`` was set before the end.
        """
        self._stop = stop
        self._store.head()
        while not (stop and stop.is_set()):
            if not self.step():
                return self.position
            if self.pause:
                stop.wait(self.pause) if stop else time.sleep(self.pause)
        raise RebuildInterrupted(self.projection.name, self.position, self._place.keeps_progress)

    def close(self) -> None:
        """Leave. What is built stays for the next one, where that is possible."""
        self._place.release()

    def abandon(self) -> None:
        """Leave, and remove what is built."""
        try:
            if not self._is_done:
                self._place.drop()
                self._bookmark.remove()
                self._parking.remove()
        except DatabaseError:
            logger.exception("the left-overs of %s's rebuild are still there", self.projection.name)
        finally:
            self._place.release()

    def share_out(self, shares: int) -> None:
        """Have so many processes build it, or with 1 this one alone, from the same position on."""
        if self.shares == shares:
            return
        if self.shares > 1:
            self.position = gather(self._place, self._bookmark, self._store, self._batch_size)
        if shares > 1:
            divide(self._place, self._bookmark, self._store, self.position, shares)
        self.shares = shares
        self._session = None

    def _read(self, position: int, head: int) -> Batch:
        return read_readable(self._store, self.projection, position, head, self._pace.events)

    def _apply(self, batch: Batch, head: int) -> None:
        def read(position: int) -> Batch:
            self._pace.grow()  # There was time for all of the last one.
            return self._read(position, head)

        turn = Turn(self._seconds, self._stop)
        with self._applying() as session, transaction.atomic(using=self._place.using):
            move = self._bookmark.lock(self.position, self._store)
            position = apply_for_a_while(
                self._place,
                session,
                batch,
                read if self._reads_on else None,
                head=head,
                turn=turn,
            )
            move(position, seen_at(self._store, position))
        self.position = position
        # What follows in the same turn may end anywhere in it, which says nothing of how much fits.
        if position < batch.end:
            self._pace.cut(sum((one.position or 0) <= position for one in batch.events))
        elif not self._reads_on:
            self._pace.grow()

    @contextmanager
    def _applying(self) -> Iterator[Session]:
        """Give the session, which is of no use any more after an error."""
        session = self._session or self._parking.session(
            self.projection.session(is_empty=self.position == 0)
        )
        self._session = None
        yield session
        self._session = session

    def _finish(self, batch: Batch, head: int) -> None:
        is_shared = is_shared_with_commands(self.projection)
        try:
            with (
                self._applying() as session,
                self._place.finishing(),
                transaction.atomic(using=self._place.using),
            ):
                if is_shared:
                    with self._patience.asking("commands that are under way"):
                        head = keep_commands_out(
                            self.projection, self._store, head, self._patience.failures
                        )
                position = self._replace(session, batch, head)
        except DatabaseError as error:
            if not self._place.is_busy(error):
                raise
            self.pause = self._patience.failed(str(error))
            return
        except _TooMuch:
            # Nobody can be kept waiting for so long: it has to be less first.
            self._pace.cut(len(batch.events) // 2)
            return
        self.position = position
        self._is_done = True
        self._progress(self.projection.name, position, position)
        logger.info("projection %s is rebuilt up to %d", self.projection.name, position)

    def _replace(self, session: Session, batch: Batch, head: int) -> int:
        """Do so, inside a transaction; return the position of the new rows."""
        self._bookmark.lock(self.position, self._store)
        # From here on no worker applies anything to the live rows.
        with (
            self._patience.asking("a worker to end its batch"),
            self._place.waiting_at_most(self._patience.for_locks),
        ):
            live = live_checkpoints(self.projection, lock=True)
        if self._only_upwards and any(one.version > self.projection.version for one in live):
            raise NewerRows(f"{self.projection.name} has rows of a newer version meanwhile.")
        refuse_unknown_types(self.projection, self._store)  # Others may have begun to store some.
        target = position_to_reach(live, self._store, head)
        read = partial(self._read, head=target)

        def apply_rest() -> None:
            turn = Turn(STEP_SECONDS, self._stop)
            if apply_up_to(self._place, session, batch, read, head=target, turn=turn) < target:
                raise _TooMuch

        with self._patience.asking("those who use the tables"):
            self._place.finish(apply_rest)
        move_live_checkpoints(self.projection, target, seen_at(self._store, target))
        self._bookmark.remove()
        self._parking.swap()
        return target


class _TooMuch(Exception):
    """The last step cannot be done in the time that it may take."""
