"""What the live rows and the log have to do with a rebuild."""

from __future__ import annotations

from collections.abc import Sequence

from rill_django.projections.batches import Batch, read_batch
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.left_out import skipped
from rill_django.projections.live import (
    live_checkpoints,
    parts_of,
    replace_live_checkpoints,
)
from rill_django.projections.projection import Projection
from rill_django.projections.trust import is_in_log
from rill_django.store.protocol import EventStore


def is_shared_with_commands(projection: Projection) -> bool:
    """Whether commands apply events to the live rows: those of this release, or of another one."""
    return projection.inline or any(one.is_inline for one in live_checkpoints(projection))


def position_to_reach(live: Sequence[Checkpoint], store: EventStore, head: int) -> int:
    """Return how far new rows have to come: to the head, and as far as the live rows have.

    Live rows of another log, from which this one was restored to an earlier state, do not count.
    """
    return max(head, *(one.position for one in live if is_in_log(one, store)), 0)


def move_live_checkpoints(projection: Projection, position: int, seen: str) -> None:
    """Note that the live rows, which are locked, are now those of this position, made by today's code."""
    live = live_checkpoints(projection)
    if [(one.partition, one.partitions) for one in live] != parts_of(projection):
        replace_live_checkpoints(
            projection, position=position, version=projection.version, seen=seen
        )
        return
    for checkpoint in live:
        checkpoint.version = projection.version
        checkpoint.move_to(position, seen)


def read_readable(
    store: EventStore,
    projection: Projection,
    position: int,
    head: int,
    size: int,
    *,
    share: tuple[int, int] | None = None,
) -> Batch:
    """Read a batch as `read_batch` does.

    Raises:
        UnreadableEvent: the first event does not fit today's code, and nobody has skipped it.
    """
    batch = read_batch(store, [projection], position, head, size, share=share)
    if batch.unreadable is not None:
        if not skipped(projection).has(batch.end, batch.seen):
            raise batch.unreadable
        return Batch(position, (), batch.end)
    return batch
