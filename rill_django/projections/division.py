"""Other partitions for a projection, when the code asks for others than there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import transaction

from rill_django.conf import configuration
from rill_django.projections.advancing import advance
from rill_django.projections.batches import Batch, read_batch
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.connecting import raise_if_connection_is_lost
from rill_django.projections.inline.locks import keep_commands_out
from rill_django.projections.lanes import Lane
from rill_django.projections.live import (
    live_checkpoints,
    needs_division,
    replace_live_checkpoints,
)
from rill_django.projections.newer_events import NewerTypes
from rill_django.projections.pace import pause_after
from rill_django.projections.parking import Parking
from rill_django.projections.projection import Projection
from rill_django.projections.reasons import reason_of
from rill_django.projections.running import Progress
from rill_django.projections.trust import NEVER_BUILT, seen_at
from rill_django.projections.waits import Wait
from rill_django.stopping import Stop
from rill_django.store.protocol import EventStore

logger = logging.getLogger("rill_django.projections")

BATCH_SIZE = 1_000


class Division:
    """Replaces the partitions of a projection by those that its code asks for, a step at a time.

    All old ones are brought to the position of the foremost, and the new ones begin there. That is work
    like any other: what cannot be applied is tried again, parked, or has the projection stand still, with
    its old partitions. One that was inline goes on behind what commands have applied; one that is inline
    now is to be built first.

    Args:
        projection: whose live rows are of the code's version.
        store: the log.
        progress: called after every batch.
        stop: ends a batch early.
    """

    def __init__(
        self,
        projection: Projection,
        store: EventStore,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._stop = stop
        self.projection = projection
        self.stopped: dict[str, str] = {}
        """Why it cannot be done, if it cannot, by the names of old partitions."""
        self.due = 0.0
        """When there is something to do again, by the monotonic clock."""
        self.is_done = False
        """Whether they are replaced."""
        self._store = store
        self._progress = progress or (lambda name, position, head: None)
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._failures = 0
        self._newer_types = NewerTypes(store)

    @property
    def waits(self) -> dict[str, Wait]:
        """What the database keeps waiting, by the names of old partitions."""
        return {lane.name: lane.wait for lane in self._lanes.values() if lane.due and lane.wait}

    def step(self, live: Sequence[Checkpoint], *, is_fresh: bool = False) -> bool:
        """Take a step; return whether it has changed anything.

        Args:
            live: the checkpoints, as they were just now.
            is_fresh: try again what stands still.

        Raises:
            ConnectionLost: the database is gone.
        """
        now = time.monotonic()
        if self.due > now:
            return False
        self.due = 0.0
        target = max(one.position for one in live)
        is_shared = self.projection.inline or any(one.is_inline for one in live)
        if not is_shared and (strange := self._of_another_log(live)):
            self.stopped = strange
            return False
        behind = [] if is_shared else [one for one in live if one.position < target]
        lanes = [self._lane(one) for one in behind]
        self.stopped = {
            lane.name: lane.gave_up or reason_of(one.error)
            for lane, one in zip(lanes, behind, strict=True)
            if one.state == State.STOPPED and not is_fresh
        }
        if self.stopped:
            return False
        batches = [self._read(one.position, target) for one in behind]
        moved = [
            self._advance(lane, batch, target) for lane, batch in zip(lanes, batches, strict=True)
        ]
        has_worked = any(moved)
        # What is still to come may be the same again, if workers of another release are at it.
        is_near = all(batch.end == target for batch in batches) and all(
            one.moved is None or one.moved.position == target for one in lanes
        )
        if is_near and not any(lane.due or lane.gave_up for lane in lanes):
            self.is_done = self._replace(live)
            has_worked = has_worked or self.is_done
        if has_worked:
            self._failures = 0
        else:
            self._wait_or_give_up(lanes, now)
        return has_worked

    def _of_another_log(self, live: Sequence[Checkpoint]) -> dict[str, str]:
        """Return why checkpoints are not of this log: then other ones would not be either."""
        head = self._store.sequence()
        lanes = [
            lane
            for lane, one in ((self._lane(one), one) for one in live)
            if not lane.trusts(one, self._store, head)
        ]
        return {lane.name: lane.gave_up for lane in lanes}

    def _wait_or_give_up(self, lanes: Sequence[Lane], now: float) -> None:
        """Nothing could be done: a handler has failed, or somebody else is at it."""
        self.stopped = {one.name: one.gave_up for one in lanes if one.gave_up}
        if any(one.due for one in lanes):
            self.due = min(one.due for one in lanes if one.due)
            return
        self._failures += 1
        self.due = now + pause_after(self._failures)

    def _lane(self, checkpoint: Checkpoint) -> Lane:
        part = (checkpoint.partition, checkpoint.partitions)
        if part not in self._lanes:
            self._lanes[part] = Lane(
                self.projection,
                checkpoint.partition,
                of=checkpoint.partitions,
                tries=configuration().handler_tries,
                batch_size=BATCH_SIZE,
                stop=self._stop,
            )
        return self._lanes[part]

    def _advance(self, lane: Lane, batch: Batch, target: int) -> bool:
        """Apply one batch to an old partition; return whether it has moved."""
        if lane.due > time.monotonic():
            return False
        lane.due, lane.gave_up = 0.0, ""
        return advance(lane, batch, target, self._progress)

    def _read(self, position: int, target: int) -> Batch:
        """Read a batch, and nothing beyond the target."""
        unknown = self._newer_types.at(target)
        return read_batch(
            self._store, [self.projection], position, target, BATCH_SIZE, unknown=unknown
        )

    def _replace(self, live: Sequence[Checkpoint]) -> bool:
        """Do it, in one transaction; return whether it is done, maybe by somebody else."""
        using = self.projection.using
        was_inline = any(one.is_inline for one in live)
        head = self._store.sequence()  # Before the transaction: see `DjangoEventStore.sequence`.
        try:
            with transaction.atomic(using=using):
                if was_inline:
                    head = keep_commands_out(self.projection, self._store, head)
                locked = live_checkpoints(self.projection, lock=True)
                is_inline = any(one.is_inline for one in locked)
                if is_inline is not was_inline or not needs_division(self.projection, locked):
                    return True
                if self.projection.inline:
                    _leave_to_commands(self.projection)
                    return True
                if was_inline:
                    position, seen = head, seen_at(self._store, head)
                else:
                    # Not what the log says now: it is to be recognized by what the rows have seen.
                    position, seen = max((one.position, one.seen) for one in locked)
                    self._bring_to(locked, position)
                _split_anew(self.projection, position, seen)
        except _NotNow:
            return False
        return True

    def _bring_to(self, locked: Sequence[Checkpoint], target: int) -> None:
        """Apply what others have applied to one of them since it was looked at last.

        Raises:
            ConnectionLost: the database is gone.
            _NotNow: one of the events cannot be applied. The next step meets it as well, outside of this
                transaction, where it can be told.
        """
        for checkpoint in locked:
            position = checkpoint.position
            while position < target:
                batch = self._read(position, target)
                try:
                    is_applied = self._lane(checkpoint).apply(batch)
                except Exception as error:
                    raise_if_connection_is_lost(self.projection.using, error)
                    raise _NotNow from error
                if not is_applied:
                    raise _NotNow
                position = batch.end


class _NotNow(Exception):
    """The transaction has to be rolled back."""


def _leave_to_commands(projection: Projection) -> None:
    # Processes with the older code may be adding events that nobody applies: it has to be built.
    replace_live_checkpoints(projection, position=0, version=NEVER_BUILT)
    logger.info("projection %s is inline from now on, and has to be built", projection.name)


def _split_anew(projection: Projection, position: int, seen: str) -> None:
    replace_live_checkpoints(projection, position=position, version=projection.version, seen=seen)
    Parking(projection, projection.partitions).renumber()
    if position:
        logger.info(
            "projection %s is split into %d partitions at position %d",
            projection.name,
            projection.partitions,
            position,
        )
