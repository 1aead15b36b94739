"""The checkpoints of a projection: one, or one for each partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.division import Division
from rill_django.projections.inline.checkpoints import make_checkpoint
from rill_django.projections.live import live_checkpoints, needs_division
from rill_django.projections.postgresql_schemas import refuse_rows_of_another_schema
from rill_django.projections.projection import Projection
from rill_django.projections.trust import are_complete, begin_anew_if_incomplete, first_version
from rill_django.store.protocol import EventStore


def all_checkpoints(
    projections: Sequence[Projection], store: EventStore
) -> Mapping[str, Sequence[Checkpoint]]:
    """Return the checkpoints of several projections by name, in one query for each database.

    Each has some; they need not be those that the code asks for.
    """
    by_name: dict[str, list[Checkpoint]] = {one.name: [] for one in projections}
    for using in {one.using for one in projections}:
        live = Checkpoint.objects.using(using).filter(name__in=by_name, is_beside=False)
        for checkpoint in live.order_by("partition"):
            by_name[checkpoint.name].append(checkpoint)
    return {one.name: _sure(one, by_name[one.name], store) for one in projections}


def checkpoints_of(projection: Projection, store: EventStore) -> Sequence[Checkpoint]:
    """Return the projection's checkpoints in the order of its partitions, made if there are none.

    Those that the code does not ask for are replaced first, as `Division` does it. If that cannot be, they
    stay.
    """
    division = Division(projection, store)
    while True:
        found = _sure(projection, live_checkpoints(projection), store)
        if not needs_division(projection, found) or not division.step(found):
            return found


def _sure(
    projection: Projection, found: Sequence[Checkpoint], store: EventStore
) -> Sequence[Checkpoint]:
    """Return what was found; or, if that is nothing or not all, what is there instead."""
    while not found or not are_complete(projection, found):
        if found:
            begin_anew_if_incomplete(projection)
            found = live_checkpoints(projection)
        else:
            found = _begin(projection, store)
    return found


def _begin(projection: Projection, store: EventStore) -> list[Checkpoint]:
    """Make the first checkpoint, the one that stays; a `Division` makes the others."""
    while not (found := live_checkpoints(projection)):
        refuse_rows_of_another_schema(projection)
        if projection.inline:
            make_checkpoint(projection, store)
            continue
        Checkpoint.objects.using(projection.using).get_or_create(
            name=projection.name,
            partition=0,
            is_beside=False,
            defaults={
                "partitions": projection.partitions,
                "version": first_version(projection),
            },
        )
    return found
