"""Makes projections anew from the whole log, in one transaction: readers see the old rows until the end."""

from __future__ import annotations

from django.db import transaction

from rill_django.conf import configuration
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.projection import Projection
from rill_django.projections.worker import Progress, checkpoint_of, read_batch
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore


def rebuild(
    projection: Projection, *, store: EventStore | None = None, progress: Progress | None = None
) -> int:
    """Delete the projection's rows and make them anew from the log.

    Readers see the old rows until the new ones are complete; workers wait meanwhile.

    Args:
        store: the log; default: the project's.
        progress: called after every batch.

    Returns:
        The position up to which the projection is built.

    Raises:
        HandlerFailed, UnreadableEvent: the old rows are still there.
    """
    store = store or DjangoEventStore()
    head = store.head()  # Before the transaction: see `DjangoEventStore.sequence`.
    checkpoint_of(projection)
    with transaction.atomic(using=projection.using):
        checkpoint = (
            Checkpoint.objects.using(projection.using).select_for_update().get(name=projection.name)
        )
        projection.clear()
        position = 0
        while position < head:
            batch = read_batch(store, [projection], position, head, configuration().batch_size)
            projection.apply(batch.events)
            position = batch.end
            if progress is not None:
                progress(projection.name, position, head)
        checkpoint.version = projection.version
        checkpoint.move_to(position)
    return position
