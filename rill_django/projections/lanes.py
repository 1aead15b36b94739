"""One projection, or one partition of it, on its way through the log."""

from __future__ import annotations

import time
import traceback
from datetime import datetime
from typing import NamedTuple

from django.db import connections, transaction

from rill_django.domain.records import RecordedEvent
from rill_django.domain.registry import current_registry
from rill_django.projections.batches import Batch, stored_types
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.connecting import raise_if_connection_is_lost
from rill_django.projections.observing import Outcome, observe_failure
from rill_django.projections.pace import Pace, pause_after
from rill_django.projections.parking import Parking
from rill_django.projections.partitioning import partition_for
from rill_django.projections.projection import HandlerFailed, OnError, Projection
from rill_django.projections.sessions import Session
from rill_django.projections.trust import AnotherLog, reasons_for_distrust
from rill_django.store.protocol import EventStore

ROWS_IN_MEMORY = 25_000
"""Most rows that a lane keeps from one batch to the next while it is behind."""


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
    """

    def __init__(
        self,
        projection: Projection,
        partition: int,
        *,
        of: int | None = None,
        tries: int,
        batch_size: int,
    ) -> None:
        self.projection = projection
        self.partition = partition
        self.partitions = of or projection.partitions
        self.pace = Pace(batch_size)
        self._parking = Parking(projection, self.partitions)
        self._tries = tries
        self._failures = 0
        self._kept: _Kept | None = None
        self._moved: Moved | None = None
        self._trusted = (0, "")
        """Position and event of a checkpoint that the log has confirmed."""
        self.due = 0.0
        """When to try again, by the monotonic clock."""
        self.gave_up = ""
        """Why it stands still, if it does."""

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
        self.gave_up = reason
        return False

    def forget_what_is_trusted(self) -> None:
        """Have the log confirm the checkpoint anew: behind a lost connection it may be another one."""
        self._trusted = (0, "")

    def advance(self, batch: Batch, *, is_behind: bool = False) -> Moved | None:
        """Apply a batch, as far as that goes; return how far, or ``None`` for nowhere.

        Args:
            batch: what comes behind the checkpoint.
            is_behind: more is to come at once, so that it is worth keeping rows in memory.

        Raises:
            ConnectionLost: the database is gone.
        """
        self._moved = None
        self._advance(self._own(batch))
        if not is_behind:
            self._kept = None
        return self._moved

    def apply(self, batch: Batch) -> bool:
        """Apply all of a batch, inside the caller's transaction; return whether it was its turn.

        Raises:
            Exception: of any kind, that `advance` would have dealt with.
        """
        is_applied = self._apply(self._own(batch))
        self._kept = None  # The transaction may yet be rolled back.
        return is_applied

    def _own(self, batch: Batch) -> Batch:
        if batch.unreadable is not None and not self._may_want(batch.unreadable.type):
            batch = batch._replace(events=(), unreadable=None)
        return batch.of(self.wants)

    def _may_want(self, type: str) -> bool:
        types = stored_types([self.projection], current_registry())
        return types is None or type in types

    def _note(self, batch: Batch) -> bool:
        before = self._moved.events if self._moved else 0
        self._moved = Moved(batch.end, before + len(batch.events))
        return True

    def _advance(self, batch: Batch) -> bool:
        """Return whether the end of the batch was reached."""
        try:
            if not self._apply(batch):
                return False  # Another worker is at it.
        except Exception as error:
            raise_if_connection_is_lost(self.projection.using, error)
            if not batch.is_single:
                return self._advance_in_parts(batch, error)
            return self._deal_with(batch, error)
        self._failures = 0
        return self._note(batch)

    def _advance_in_parts(self, batch: Batch, error: Exception) -> bool:
        """Find the event that fails: the handler has named it, or the batch is halved until it is."""
        border = len(batch.events) // 2
        if isinstance(error, HandlerFailed):
            culprit = next(
                (index for index, one in enumerate(batch.events) if one is error.event), border
            )
            border = culprit
        first, rest = batch.split_before(border)
        return self._advance(first) and self._advance(rest)

    def _apply(self, batch: Batch) -> bool:
        """Apply a batch and move the checkpoint, in one transaction."""
        if batch.unreadable is not None:
            raise batch.unreadable
        kept, self._kept = self._kept, None  # After an error it is of no use.
        with transaction.atomic(using=self.projection.using):
            checkpoint = self._lock(batch.start)
            if checkpoint is None:
                return False
            events = batch.events
            if self.projection.on_error is OnError.PARK:
                events = self._parking.free(events)
            session = self._session_at(checkpoint, kept)
            session.apply(events)
            session.flush()
            checkpoint.move_to(batch.end, batch.seen)
        self._trusted = (batch.end, batch.seen)
        self._kept = _Kept(session, checkpoint.position, checkpoint.updated_at)
        return True

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

    def _deal_with(self, batch: Batch, error: Exception) -> bool:
        """Try the event again later, or give it up: park it, or stop."""
        self._failures += 1
        identity = batch.events[0].identity if batch.events else ""
        event = getattr(error, "identity", identity)
        if self._failures < self._tries:
            self.due = time.monotonic() + pause_after(self._failures)
            self._tell(event, error, Outcome.RETRY, batch)
            return False
        self._failures = 0
        details = "".join(traceback.format_exception(error))
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
            return self._note(batch)
        self.gave_up = str(error)
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
