"""The checkpoints of a projection: one, or one for each partition."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.db import transaction

from rill_django.projections.batches import read_batch
from rill_django.projections.checkpoint import Checkpoint, State
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


def _is_settled(projection: Projection, found: Sequence[Checkpoint]) -> bool:
    """Whether the checkpoints can stay as they are.

    Rows of another version are left as they are: a rebuild splits them anew, and until then they are the
    business of workers with the other release's code.
    """
    if found and found[0].version != projection.version:
        return True
    number = projection.partitions
    return len(found) == number and all(one.partitions == number for one in found)


def checkpoints_of(projection: Projection, store: EventStore) -> Sequence[Checkpoint]:
    """Return the projection's checkpoints in the order of its partitions, made if there are none.

    If the number of partitions has changed in the code, and the version has not, all old ones are first
    brought to the same position, in one transaction, and the new ones begin there.
    """
    live = Checkpoint.objects.using(projection.using).filter(name=projection.name, is_beside=False)
    found = list(live.order_by("partition"))
    if _is_settled(projection, found):
        return found
    with transaction.atomic(using=projection.using):
        found = list(live.select_for_update().order_by("partition"))
        if not _is_settled(projection, found):
            _split_anew(projection, found, store)
    return list(live.order_by("partition"))


def _split_anew(projection: Projection, old: Sequence[Checkpoint], store: EventStore) -> None:
    position = max((one.position for one in old), default=0)
    for checkpoint in old:
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
