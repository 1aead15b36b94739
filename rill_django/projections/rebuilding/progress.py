"""How far the rows beside have come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from rill_django.domain.records import RecordedEvent
from rill_django.projections.batches import Batch, read_batch
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.held import SkippedEvent
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.store.protocol import EventStore


def live_checkpoints(projection: Projection, *, lock: bool = False) -> list[Checkpoint]:
    """Return the checkpoints of the live rows, in the order of partitions; none before the first run."""
    found = Checkpoint.objects.using(projection.using).filter(name=projection.name, is_beside=False)
    return list((found.select_for_update() if lock else found).order_by("partition"))


def move_live_checkpoints(projection: Projection, position: int) -> None:
    """Note that the live rows are now those of this position, made by today's code."""
    live = live_checkpoints(projection)
    numbers = [(one.partition, one.partitions) for one in live]
    wanted = [(number, projection.partitions) for number in range(projection.partitions)]
    manager = Checkpoint.objects.using(projection.using)
    if numbers == wanted:
        for checkpoint in live:
            checkpoint.version = projection.version
            checkpoint.move_to(position)
        return
    manager.filter(pk__in=[one.pk for one in live]).delete()
    manager.bulk_create(
        Checkpoint(
            name=projection.name,
            partition=partition,
            partitions=partitions,
            version=projection.version,
            position=position,
            state=State.RUNNING,
            updated_at=timezone.now(),
        )
        for partition, partitions in wanted
    )


class Bookmark:
    """The checkpoint of the rows beside, in the database that they are in.

    Args:
        is_kept: whether the rows outlive the process; if not, neither does the bookmark.
    """

    def __init__(self, projection: Projection, *, is_kept: bool) -> None:
        self._projection = projection
        self._is_kept = is_kept

    def _rows(self) -> QuerySet[Checkpoint]:
        found: QuerySet[Checkpoint] = Checkpoint.objects.using(self._projection.using).filter(
            name=self._projection.name, is_beside=True
        )
        return found

    def find(self) -> Checkpoint | None:
        """Return what an earlier rebuild by the same version of the code has left."""
        found: Checkpoint | None = self._rows().filter(version=self._projection.version).first()
        return found

    def begin(self) -> None:
        """Note that nothing is built yet."""
        with transaction.atomic(using=self._projection.using):
            self.remove()
            if self._is_kept:
                self._rows().create(
                    name=self._projection.name, is_beside=True, version=self._projection.version
                )

    def lock(self, position: int) -> Callable[[int], None]:
        """Lock it for this transaction; return what moves it.

        Raises:
            RowsBesideLost: it is not at this position.
        """
        if not self._is_kept:
            return lambda position: None
        found: Checkpoint | None = self._rows().select_for_update().first()
        if found is None or found.position != position:
            raise RowsBesideLost(f"Somebody else has rebuilt {self._projection.name} meanwhile.")
        move: Callable[[int], None] = found.move_to
        return move

    def remove(self) -> None:
        """Note that there are no rows beside."""
        self._rows().delete()


def skipped_positions(projection: Projection) -> frozenset[int]:
    """Return the positions of events that somebody has decided to leave out."""
    skipped = SkippedEvent.objects.using(projection.using).filter(projection=projection.name)
    return frozenset(skipped.values_list("position", flat=True))


def read_readable(
    store: EventStore, projection: Projection, position: int, head: int, size: int
) -> Batch:
    """Read a batch as `read_batch` does, and nothing beyond ``head``.

    Raises:
        UnreadableEvent: the first event does not fit today's code, and nobody has skipped it.
    """
    batch = read_batch(store, [projection], position, head, size)
    if batch.end > head:
        events = [event for event in batch.events if (event.position or 0) <= head]
        return Batch(position, events, head)
    if batch.unreadable is not None:
        if batch.end not in skipped_positions(projection):
            raise batch.unreadable
        return Batch(position, (), batch.end)
    return batch


def without(events: Sequence[RecordedEvent], left_out: Collection[int]) -> Sequence[RecordedEvent]:
    """Return the events but for those at some positions."""
    return [one for one in events if one.position not in left_out] if left_out else events
