"""A batch for a lane, and what is told about it."""

from __future__ import annotations

import time

from rill_django.projections.batches import Batch
from rill_django.projections.lanes import Lane
from rill_django.projections.observing import observe_batch
from rill_django.projections.running import Progress


def advance(lane: Lane, batch: Batch, head: int, progress: Progress) -> bool:
    """Apply a batch; return whether the checkpoint has moved.

    Args:
        lane: whose turn it is.
        batch: what comes behind its checkpoint.
        head: where the lane is to come to in the end.
        progress: called if it has moved.

    Raises:
        ConnectionLost: the database is gone.
    """
    started = time.monotonic()
    is_behind = batch.end < head
    moved = lane.advance(batch, is_behind=is_behind)
    if moved is None:
        return False
    seconds = time.monotonic() - started
    if (is_behind or moved.position < batch.end) and not lane.is_cut:
        lane.pace.adapt(seconds)
    applied = (one for one in reversed(batch.events) if (one.position or 0) <= moved.position)
    observe_batch(
        lane.projection.name,
        moved.position,
        head,
        moved.events,
        seconds,
        partition=lane.partition,
        recorded_at=next((one.recorded_at for one in applied), None),
    )
    progress(lane.projection.name, moved.position, head)
    return True
