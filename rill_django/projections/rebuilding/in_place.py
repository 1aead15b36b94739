"""A rebuild of the live rows themselves, in one transaction."""

from __future__ import annotations

from django.db import transaction

from rill_django.conf import configuration
from rill_django.projections.held import ParkedEvent
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.errors import RebuildInterrupted
from rill_django.projections.rebuilding.progress import (
    live_checkpoints,
    move_live_checkpoints,
    read_readable,
    skipped_positions,
    without,
)
from rill_django.projections.running import Progress, Stop
from rill_django.store.protocol import EventStore


def rebuild_in_place(
    projection: Projection,
    store: EventStore,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> int:
    """Delete the projection's rows and make them anew from the log.

    Readers see the old rows until the new ones are complete; workers wait meanwhile.

    Returns:
        The position up to which the projection is built.

    Raises:
        HandlerFailed, UnreadableEvent, RebuildInterrupted: the old rows are still there.
    """
    projection = type(projection)()  # One may remember rows between batches.
    size = batch_size or configuration().batch_size
    head = store.head()  # Before the transaction: see `DjangoEventStore.sequence`.
    checkpoints_of(projection, store)
    with transaction.atomic(using=projection.using):
        live = live_checkpoints(projection, lock=True)
        head = max(head, *(one.position for one in live))
        skipped = skipped_positions(projection)
        projection.clear()
        session = projection.session(is_empty=True)
        position = 0
        while position < head:
            if stop is not None and stop.is_set():
                raise RebuildInterrupted(projection.name, position, is_kept=False)
            batch = read_readable(store, projection, position, head, size)
            session.apply(without(batch.events, skipped))
            position = batch.end
            if progress is not None:
                progress(projection.name, position, head)
        session.flush()
        move_live_checkpoints(projection, position)
        ParkedEvent.objects.using(projection.using).filter(
            projection=projection.name, position__lte=position
        ).delete()
    return position
