"""One projection, or one partition of it, on its way through the log."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from rill_django.conf import configuration
from rill_django.domain.errors import cure_of_unknown_type
from rill_django.domain.records import RecordedEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.tracebacks import shortened_text
from rill_django.projections.batches import Batch, stored_types
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.connecting import raise_if_connection_is_lost
from rill_django.projections.newer_events import categories_of, first_newer, types_for
from rill_django.projections.observing import Outcome, observe_failure
from rill_django.projections.pace import Pace, pause_after
from rill_django.projections.parking import Parking
from rill_django.projections.partitioning import partition_for
from rill_django.projections.projection import HandlerFailed, OnError, Projection
from rill_django.projections.sessions import Session
from rill_django.projections.trust import AnotherLog, reasons_for_distrust
from rill_django.projections.turns import Turn
from rill_django.projections.waits import Wait
from rill_django.stopping import Stop
from rill_django.store.protocol import EventStore
from rill_django.store.trouble import Trouble, trouble_of

logger = logging.getLogger("rill_django.projections")

ROWS_IN_MEMORY = 25_000
"""Most rows that a lane keeps from one batch to the next while it is behind."""


OTHERS_TURN_SECONDS = 1.0
"""Before its last try a worker waits so long: one of another release may be able to apply the event."""


class Moved(NamedTuple):
    """How far a lane has come: its new position, and the number of events dealt with."""

    position: int
    events: int


class _Kept(NamedTuple):
    """A session that may go on, if the checkpoint still is as it was left."""

    session: Session
    position: int
    updated_at: datetime


class Lane:
    """Applies batches to a projection, and deals with handlers that fail.

    Args:
        projection: what is kept up to date.
        partition: which part of it.
        of: so many parts; default: those that the projection's code asks for.
        tries: how often an event is tried before it is given up.
        batch_size: most events applied in one transaction.
        stop: ends a batch early; what is done is committed.
    """

    def __init__(
        self,
        projection: Projection,
        partition: int,
        *,
        of: int | None = None,
        tries: int,
        batch_size: int,
        stop: Stop | None = None,
    ) -> None:
        self.projection = projection
        self.partition = partition
        self.partitions = of or projection.partitions
        self.pace = Pace(batch_size)
        self.wait = Wait(self.name, projection.using)
        """What the database keeps it waiting for, if it does."""
        self.gives_others_a_turn = False
        """Whether it takes its time before it gives up, since workers with other code may be at it, too."""
        self._parking = Parking(projection, self.partitions)
        self._tries = tries
        self._failures: Counter[int] = Counter()
        self._gave_up_at: int | None = None
        self._seconds = configuration().batch_seconds
        self._stop = stop
        self._kept: _Kept | None = None
        self.moved: Moved | None = None
        """How far the last batch has brought it; ``None``: nowhere."""
        self.is_cut = False
        """Whether there was no time for all of the last batch."""
        self._trusted = (0, "")
        """Position and event of a checkpoint that the log has confirmed."""
        self.due = 0.0
        """When to try again, by the monotonic clock."""
        self.gave_up = ""
        """Why it stands still, if it does."""
        self.cause: BaseException | None = None
        """What was raised last, if it has given up for that."""

    @property
    def name(self) -> str:
        """The projection's name, with the partition if there are several."""
        if self.partitions == 1:
            return self.projection.name
        return f"{self.projection.name} {self.partition + 1}/{self.partitions}"

    def wants(self, event: RecordedEvent) -> bool:
        """Whether the event is for this projection and partition."""
        if event.type not in self.projection.handlers:
            return False
        if self.partitions == 1:
            return True
        return partition_for(self.projection, event, self.partitions) == self.partition

    def trusts(self, checkpoint: Checkpoint, store: EventStore, head: int) -> bool:
        """Whether the checkpoint is of this log; if not, have the projection stand still.

        Asked of the log only if another has moved the checkpoint, or the log is shorter than it.

        Args:
            checkpoint: of this projection and partition.
            store: the log.
            head: its last position, as it was a moment ago.
        """
        at = (checkpoint.position, checkpoint.seen)
        if at == self._trusted and checkpoint.position <= head:
            return True
        reason = reasons_for_distrust([checkpoint], store).get(checkpoint.pk)
        if reason is None:
            self._trusted = at
            return True
        self._trusted = (0, "")
        if checkpoint.state == State.RUNNING:
            with transaction.atomic(using=self.projection.using):
                locked = self._lock(checkpoint.position)
                if locked is not None:
                    locked.stop("", reason)
            batch = Batch(checkpoint.position, (), checkpoint.position)
            self._tell("", AnotherLog(reason), Outcome.STOPPED, batch)
        self.gave_up, self.cause = reason, None
        self._gave_up_at = checkpoint.position
        return False

    def forget_what_is_trusted(self) -> None:
        """Have the log confirm the checkpoint anew: behind a lost connection it may be another one."""
        self._trusted = (0, "")

    def has_given_up_at(self, position: int) -> bool:
        """Whether it is this worker's own code that cannot apply what comes behind a position."""
        return self._gave_up_at == position

    def try_once_more(self) -> None:
        """Have a second thought about what it has given up."""
        self._gave_up_at = None

    def advance(self, batch: Batch, *, is_behind: bool = False) -> Moved | None:
        """Apply a batch, as far as that goes in the time there is; return how far, ``None``: nowhere.

        Args:
            batch: what comes behind the checkpoint.
            is_behind: more is to come at once, so that it is worth keeping rows in memory.

        Raises:
            ConnectionLost: the database is gone.
        """
        self.moved, self.is_cut, self.cause = None, False, None
        newer = self._newer_in(batch)
        if newer is not None:
            batch = batch.before(newer)
            if batch.end == batch.start:
                self._leave_to_newer_release(batch, newer)
                return None
        own = self._own(batch).first(self.pace.events)
        is_at_end = self._advance(own) and own.end == batch.end
        if is_at_end and not is_behind:
            self._kept = None
        return self.moved

    def apply(self, batch: Batch) -> bool:
        """Apply all of a batch, inside the caller's transaction; return whether it was its turn.

        Raises:
            Exception: of any kind, that `advance` would have dealt with.
        """
        if self._newer_in(batch) is not None:
            return False
        applied = self._apply(self._own(batch), None)
        self._kept = None  # The transaction may yet be rolled back.
        return applied is not None

    def _own(self, batch: Batch) -> Batch:
        if batch.unreadable is not None and not self._may_want(batch.unreadable.type, batch):
            batch = batch._replace(events=(), unreadable=None)
        return batch.of(self.wants)

    def _may_want(self, type: str, batch: Batch) -> bool:
        types = stored_types([self.projection], current_registry())
        return types is None or type in types or type in types_for([self.projection], batch.unknown)

    def _newer_in(self, batch: Batch) -> RecordedEvent | None:
        """Return the first event that only a worker of a newer release can deal with."""
        if not batch.unknown:
            return None
        return first_newer(batch.events, batch.unknown, categories_of(self.projection))

    def _leave_to_newer_release(self, batch: Batch, event: RecordedEvent) -> None:
        why = (
            f"{event.identity} is of the type {event.type!r}, which this worker's code does not know. If "
            f"there is no newer release, nobody goes on. {cure_of_unknown_type(event.type)}"
        )
        self.due = self.wait.leave_to_newer_release(why)
        if self.wait.is_worth_telling:
            self._note_wait(batch, event.identity, self.wait.reason)

    def _note(self, batch: Batch) -> None:
        before = self.moved.events if self.moved else 0
        self.moved = Moved(batch.end, before + len(batch.events))

    def _advance(self, batch: Batch) -> bool:
        """Return whether the end of the batch was reached."""
        try:
            applied = self._apply(batch, Turn(self._seconds, self._stop))
        except Exception as error:
            raise_if_connection_is_lost(self.projection.using, error)
            trouble = trouble_of(error)
            if trouble is not None:
                return self._wait(batch, error, trouble)
            if not batch.is_single:
                return self._advance_in_parts(batch, error)
            return self._deal_with(batch, error)
        if applied is None:
            return False  # Another worker is at it.
        self.wait.end()
        self._forget_failures(applied.end)
        self._note(applied)
        if applied.end < batch.end:
            self.is_cut = True
            self.pace.cut(len(applied.events))
        return applied.end == batch.end

    def _advance_in_parts(self, batch: Batch, error: Exception) -> bool:
        """Find the event that fails: the handler has named it, or the batch is halved until it is."""
        index = self._index_of_culprit(batch, error)
        if index is None:
            first, rest = batch.split_before(len(batch.events) // 2)
            return self._advance(first) and self._goes_on(rest)
        first, rest = batch.split_before(index)
        if first.events[0].position != batch.events[index].position:
            if not self._advance(first) or self._is_to_stop():
                return False
            if rest.is_single:
                return self._deal_with(rest, error)
            first, rest = rest.split_before(0)
        return self._deal_with(first, error) and self._goes_on(rest)

    @staticmethod
    def _index_of_culprit(batch: Batch, error: Exception) -> int | None:
        if not isinstance(error, HandlerFailed):
            return None
        found = (index for index, one in enumerate(batch.events) if one is error.event)
        return next(found, None)

    def _goes_on(self, rest: Batch) -> bool:
        return not self._is_to_stop() and self._advance(rest)

    def _is_to_stop(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _apply(self, batch: Batch, turn: Turn | None) -> Batch | None:
        """Apply a batch and move the checkpoint, in one transaction.

        Returns:
            What is applied: all of it, or as much as the turn allowed. ``None``: others are at it.
        """
        if batch.unreadable is not None:
            raise batch.unreadable
        kept, self._kept = self._kept, None  # After an error it is of no use.
        parks = self.projection.on_error is OnError.PARK
        with transaction.atomic(using=self.projection.using):
            checkpoint = self._lock(batch.start)
            if checkpoint is None:
                return None
            events = self._parking.free(batch.events) if parks else batch.events
            session = self._session_at(checkpoint, kept)
            border = session.apply(events, turn)
            session.flush()
            if border is not None:
                batch = batch.up_to(border)
                if parks:
                    self._parking.take_back(border, self.partition)
            checkpoint.move_to(batch.end, batch.seen)
        self._trusted = (batch.end, batch.seen)
        self._kept = _Kept(session, checkpoint.position, checkpoint.updated_at)
        return batch

    def _session_at(self, checkpoint: Checkpoint, kept: _Kept | None) -> Session:
        """Go on with the rows in memory, unless somebody else has moved the checkpoint.

        The time tells, too: a rebuild that is swapped in may leave the position as it is.
        """
        if kept and (kept.position, kept.updated_at) == (
            checkpoint.position,
            checkpoint.updated_at,
        ):
            return kept.session
        return self.projection.session(max_rows=ROWS_IN_MEMORY)

    def _lock(self, position: int) -> Checkpoint | None:
        """Lock the checkpoint, if it is where it is thought to be and nobody else has it."""
        using = self.projection.using
        features = connections[using].features
        found: Checkpoint | None = (
            Checkpoint.objects.using(using)
            .select_for_update(skip_locked=features.has_select_for_update_skip_locked)
            .filter(
                name=self.projection.name,
                partition=self.partition,
                partitions=self.partitions,
                is_beside=False,
                version=self.projection.version,
                position=position,
            )
            .first()
        )
        return found

    def _wait(self, batch: Batch, error: Exception, trouble: Trouble) -> bool:
        """Try again later, with less at a time; that is no failure of the event."""
        self.pace.halve()
        self.due = self.wait.begin_again(trouble, error)
        if self.wait.is_worth_telling:
            # Named only if all before it is applied: whoever skips it moves the checkpoint behind it.
            event = batch.events[0].identity if batch.events and batch.is_single else ""
            self._note_wait(batch, event, f"{self.wait.reason}\n\n{shortened_text(error)}")
        return False

    def _note_wait(self, batch: Batch, event: str, details: str) -> None:
        """Note it where others see it, if the database can do that much."""
        try:
            with transaction.atomic(using=self.projection.using):
                checkpoint = self._lock(batch.start)
                if checkpoint is not None and checkpoint.state == State.RUNNING:
                    checkpoint.wait(event, details)
        except DatabaseError:
            logger.debug("could not note that %s waits", self.name, exc_info=True)

    def _forget_failures(self, position: int) -> None:
        """Of the events up to a position, which are applied."""
        if self._failures:
            self._failures = Counter(
                {one: times for one, times in self._failures.items() if one > position}
            )
        self._gave_up_at = None

    def _deal_with(self, batch: Batch, error: Exception) -> bool:
        """Try the event again later, or give it up: park it, or stop."""
        position = (batch.events[0].position or 0) if batch.events else batch.end
        self._failures[position] += 1
        failures = self._failures[position]
        identity = batch.events[0].identity if batch.events else ""
        event = getattr(error, "identity", identity)
        if failures < self._tries:
            pause = pause_after(failures)
            if self.gives_others_a_turn and failures == self._tries - 1:
                pause = max(pause, OTHERS_TURN_SECONDS)
            self.due = time.monotonic() + pause
            self._tell(event, error, Outcome.RETRY, batch)
            return False
        details = shortened_text(error)
        parks = self.projection.on_error is OnError.PARK and bool(batch.events)
        with transaction.atomic(using=self.projection.using):
            checkpoint = self._lock(batch.start)
            if checkpoint is None:
                return False
            if parks:
                self._parking.park(batch.events, details)
                checkpoint.move_to(batch.end, batch.seen)
            else:
                checkpoint.stop(event, details)
        self._tell(event, error, Outcome.PARKED if parks else Outcome.STOPPED, batch)
        if parks:
            self._forget_failures(batch.end)
            self._note(batch)
            return True
        self._gave_up_at = batch.start
        self.gave_up = str(error)
        self.cause = error.__cause__ or error
        return False

    def _tell(self, event: str, error: Exception, outcome: Outcome, batch: Batch) -> None:
        observe_failure(
            self.projection.name,
            event,
            error,
            outcome=outcome,
            partition=self.partition,
            position=batch.start,
        )
