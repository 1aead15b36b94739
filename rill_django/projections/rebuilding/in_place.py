"""A rebuild of the live rows themselves, in one transaction."""

from __future__ import annotations

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.conf import configuration
from rill_django.projections.handlers import making_anew
from rill_django.projections.held import ParkedEvent
from rill_django.projections.inline.locks import keep_commands_out
from rill_django.projections.left_out import skipped
from rill_django.projections.live import live_checkpoints
from rill_django.projections.newer_events import refuse_unknown_types
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.errors import InsideTransaction, RebuildInterrupted
from rill_django.projections.rebuilding.progress import (
    is_shared_with_commands,
    move_live_checkpoints,
    position_to_reach,
    read_readable,
)
from rill_django.projections.running import Progress
from rill_django.projections.trust import seen_at
from rill_django.projections.turns import Turn
from rill_django.stopping import Stop
from rill_django.store.deadlocks import begun_anew
from rill_django.store.orm import dialect_of, inside_callers_transaction
from rill_django.store.protocol import EventStore

TRIES = 8
"""How often it is begun in all, when it and others wait for each other."""


def rebuild_in_place(
    projection: Projection,
    store: EventStore,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> int:
    """Delete the projection's rows and make them anew from the log.

    Readers see the old rows until the new ones are complete; workers wait meanwhile, and so do the
    commands of an inline projection.

    Returns:
        The position up to which the projection is built.

    Raises:
        HandlerFailed, UnreadableEvent, RebuildInterrupted: the old rows are still there.
        InsideTransaction: of an inline projection, the caller's transaction may hold events.
        OperationalError: it and others waited for each other, again and again.
    """
    connection = connections[projection.using]
    assert isinstance(connection, BaseDatabaseWrapper)
    return begun_anew(
        lambda: _rebuild(projection, store, batch_size, progress, stop),
        connection,
        dialect_of(connection),
        tries=TRIES,
    )


@making_anew()
def _rebuild(
    projection: Projection,
    store: EventStore,
    batch_size: int | None,
    progress: Progress | None,
    stop: Stop | None,
) -> int:
    projection = type(projection)()  # One may remember rows between batches.
    size = batch_size or configuration().batch_size
    head = store.head()  # Before the transaction: see `DjangoEventStore.sequence`.
    checkpoints_of(projection, store)
    is_shared = is_shared_with_commands(projection)
    if is_shared:
        _refuse_events_without_position(projection)
    with transaction.atomic(using=projection.using):
        if is_shared:
            head = keep_commands_out(projection, store, head)
        live = live_checkpoints(projection, lock=True)
        refuse_unknown_types(projection, store)
        head = position_to_reach(live, store, head)
        left_out = skipped(projection)
        projection.clear()
        session = projection.session(is_empty=True)
        position = 0
        while position < head:
            if stop is not None and stop.is_set():
                raise RebuildInterrupted(projection.name, position, is_kept=False)
            batch = read_readable(store, projection, position, head, size)
            border = session.apply(left_out.without(batch.events), Turn(stop=stop))
            position = batch.end if border is None else border
            if progress is not None:
                progress(projection.name, position, head)
        session.flush()
        move_live_checkpoints(projection, position, seen_at(store, position))
        # All: what is behind this position waits for events of a log that is not there any more.
        ParkedEvent.objects.using(projection.using).filter(projection=projection.name).delete()
    return position


def _refuse_events_without_position(projection: Projection) -> None:
    connection = connections[projection.using]
    assert isinstance(connection, BaseDatabaseWrapper)
    if connection.vendor != "sqlite" and inside_callers_transaction(connection):
        raise InsideTransaction(projection.name)
