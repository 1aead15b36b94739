"""The checkpoints of a projection's live rows."""

from __future__ import annotations

from collections.abc import Sequence

from rill_django.projections.checkpoint import INLINE, Checkpoint, State
from rill_django.projections.projection import Projection
from rill_django.store.moments import now


def live_checkpoints(projection: Projection, *, lock: bool = False) -> list[Checkpoint]:
    """Return the checkpoints of the live rows, in the order of partitions; none before the first run.

    Args:
        projection: whose.
        lock: until the end of the transaction nobody applies anything to the live rows, nor changes
            their partitions.
    """
    found = Checkpoint.objects.using(projection.using).filter(name=projection.name, is_beside=False)
    if lock:
        # The first one is never deleted. Whoever waited for others could find that there are none now,
        # since those that somebody has made instead were not there when the query began.
        list(found.select_for_update().filter(partition=0))
        found = found.select_for_update()
    return list(found.order_by("partition"))


def parts_of(projection: Projection) -> list[tuple[int, int]]:
    """Return number and count of each partition that the projection's code asks for."""
    if projection.inline:
        return [(0, INLINE)]
    return [(number, projection.partitions) for number in range(projection.partitions)]


def is_as_asked_for(projection: Projection, found: Sequence[Checkpoint]) -> bool:
    """Whether the live rows are of the version, and have the partitions, that the code asks for."""
    return bool(
        found
        and found[0].version == projection.version
        and [(one.partition, one.partitions) for one in found] == parts_of(projection)
    )


def needs_division(projection: Projection, found: Sequence[Checkpoint]) -> bool:
    """Whether the partitions are others than the code asks for.

    Rows of another version are left as they are: a rebuild splits them anew, and until then they are the
    business of workers with the other release's code.
    """
    return bool(
        found and found[0].version == projection.version and not is_as_asked_for(projection, found)
    )


def replace_live_checkpoints(
    projection: Projection, *, position: int, version: int, seen: str = ""
) -> None:
    """Have the partitions that the code asks for, all at one position. Those there are must be locked.

    Args:
        projection: whose.
        position: up to which the rows have all events.
        version: of the code that has made them; 0: none has.
        seen: ``stream@version`` of the event at that position.
    """
    (first, *others) = (
        {
            "partition": partition,
            "partitions": partitions,
            "version": version,
            "position": position,
            "seen": seen,
            "state": State.RUNNING,
            "failed_event": "",
            "error": "",
            "waiting_since": None,
            "updated_at": now(),
        }
        for partition, partitions in parts_of(projection)
    )
    manager = Checkpoint.objects.using(projection.using)
    live = {"name": projection.name, "is_beside": False}
    manager.filter(**live, partition__gt=0).delete()
    manager.update_or_create(**live, partition=0, defaults=first)
    manager.bulk_create(Checkpoint(**live, **values) for values in others)
