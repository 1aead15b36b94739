"""The checkpoints of a projection: one, or one for each partition."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.db import transaction

from rill_django.projections.batches import read_batch
from rill_django.projections.checkpoint import INLINE, Checkpoint, State
from rill_django.projections.inline.checkpoints import make_checkpoint
from rill_django.projections.inline.locks import keep_commands_out
from rill_django.projections.lanes import partition_of
from rill_django.projections.projection import Projection
from rill_django.store.protocol import EventStore

logger = logging.getLogger("rill_django.projections")

BATCH_SIZE = 1_000


def all_checkpoints(
    projections: Sequence[Projection], store: EventStore
) -> Mapping[str, Sequence[Checkpoint]]:
    """Return the checkpoints of several projections by name, in one query for each database."""
    by_name: dict[str, list[Checkpoint]] = {one.name: [] for one in projections}
    for using in {one.using for one in projections}:
        live = Checkpoint.objects.using(using).filter(name__in=by_name, is_beside=False)
        for checkpoint in live.order_by("partition"):
            by_name[checkpoint.name].append(checkpoint)
    return {
        one.name: by_name[one.name]
        if _is_settled(one, by_name[one.name])
        else checkpoints_of(one, store)
        for one in projections
    }


def parts_of(projection: Projection) -> list[tuple[int, int]]:
    """Return number and count of each partition that the projection's code asks for."""
    if projection.inline:
        return [(0, INLINE)]
    return [(number, projection.partitions) for number in range(projection.partitions)]


def _is_settled(projection: Projection, found: Sequence[Checkpoint]) -> bool:
    """Whether the checkpoints can stay as they are.

    Rows of another version are left as they are: a rebuild splits them anew, and until then they are the
    business of workers with the other release's code.
    """
    if found and found[0].version != projection.version:
        return True
    return [(one.partition, one.partitions) for one in found] == parts_of(projection)


def checkpoints_of(projection: Projection, store: EventStore) -> Sequence[Checkpoint]:
    """Return the projection's checkpoints in the order of its partitions, made if there are none.

    If the number of partitions has changed in the code, and the version has not, all old ones are first
    brought to the same position, in one transaction, and the new ones begin there. One that was inline
    goes on behind what commands have applied; one that is inline now is to be built first.
    """
    live = Checkpoint.objects.using(projection.using).filter(name=projection.name, is_beside=False)
    found = list(live.order_by("partition"))
    if _is_settled(projection, found):
        return found
    head = store.head()
    with transaction.atomic(using=projection.using):
        if any(one.is_inline for one in found):
            head = keep_commands_out(projection, store, head)
        found = list(live.select_for_update().order_by("partition"))
        if _is_settled(projection, found):
            pass
        elif projection.inline:
            _leave_to_commands(projection, found, store)
        else:
            _split_anew(projection, found, store, head)
    return list(live.order_by("partition"))


def _leave_to_commands(
    projection: Projection, old: Sequence[Checkpoint], store: EventStore
) -> None:
    if not old:
        make_checkpoint(projection, store)
        return
    # Processes with the older code may be adding events that nobody applies: it has to be built.
    manager = Checkpoint.objects.using(projection.using)
    manager.filter(pk__in=[one.pk for one in old]).delete()
    manager.create(name=projection.name, partitions=INLINE, version=0)
    logger.info("projection %s is inline from now on, and has to be built", projection.name)


def _split_anew(
    projection: Projection, old: Sequence[Checkpoint], store: EventStore, head: int
) -> None:
    was_inline = any(one.is_inline for one in old)
    position = head if was_inline else max((one.position for one in old), default=0)
    for checkpoint in () if was_inline else old:
        _bring_to(projection, checkpoint, position, store)
    stopped = next((one for one in old if one.state == State.STOPPED), None)
    version = old[0].version if old else projection.version
    manager = Checkpoint.objects.using(projection.using)
    manager.filter(pk__in=[one.pk for one in old]).delete()
    for partition in range(projection.partitions):
        manager.get_or_create(
            name=projection.name,
            partition=partition,
            is_beside=False,
            defaults={
                "partitions": projection.partitions,
                "version": version,
                "position": position,
                "state": stopped.state if stopped else State.RUNNING,
            },
        )
    if old:
        logger.info(
            "projection %s is split into %d partitions at position %d",
            projection.name,
            projection.partitions,
            position,
        )


def _bring_to(
    projection: Projection, checkpoint: Checkpoint, position: int, store: EventStore
) -> None:
    """Apply to an old partition what the foremost one is ahead of it."""
    while checkpoint.position < position:
        batch = read_batch(store, [projection], checkpoint.position, position, BATCH_SIZE)
        if batch.unreadable is not None:
            raise batch.unreadable
        projection.apply(
            [
                event
                for event in batch.events
                if (event.position or 0) <= position
                and partition_of(projection.keys_of(event)[0], checkpoint.partitions)
                == checkpoint.partition
            ]
        )
        checkpoint.position = min(batch.end, position)
