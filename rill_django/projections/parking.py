"""Parking: events that cannot be applied wait, and those of the same key behind them; others go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter

from django.db.models import QuerySet

from rill_django.domain.records import RecordedEvent
from rill_django.projections.held import ParkedEvent
from rill_django.projections.left_out import LeftOut
from rill_django.projections.partitioning import keys_of, partition_for, partition_of
from rill_django.projections.projection import Projection

Place = tuple[int, int]
"""Position and partition: what is parked as one, also if it is an event that was upcast to several."""


class Parking:
    """What a projection has parked, and parks.

    Args:
        projection: whose events.
        of: the number of its partitions.
        name: under which they are parked; default: the projection's.
    """

    def __init__(self, projection: Projection, of: int, *, name: str | None = None) -> None:
        self._projection = projection
        self._of = of
        self._name = name or projection.name

    @property
    def parked(self) -> QuerySet[ParkedEvent]:
        """What waits."""
        rows: QuerySet[ParkedEvent] = ParkedEvent.objects.using(self._projection.using)
        found: QuerySet[ParkedEvent] = rows.filter(projection=self._name)
        return found

    def place_of(self, event: RecordedEvent) -> Place:
        """Return where an event waits, if it has to."""
        partition = partition_for(self._projection, event, self._of) if self._of > 1 else 0
        return event.position or 0, partition

    def free(
        self, events: Iterable[RecordedEvent], given_up: Mapping[Place, str] | None = None
    ) -> list[RecordedEvent]:
        """Park the events whose key has one waiting from before, in this transaction; return the others.

        Args:
            events: the next ones of the log.
            given_up: errors of events that are to be parked themselves.
        """
        given_up = given_up or {}
        waiting: dict[str, int] = {}
        names = ("position", "event", "parts", "keys")
        rows = list(self.parked.order_by("position").values_list(*names))
        if not rows and not given_up:
            return list(events)
        for position, _, _, keys in rows:
            for key in keys:
                waiting.setdefault(key, position)
        parked = LeftOut((position, event, parts) for position, event, parts, _ in rows)
        free: list[RecordedEvent] = []
        for place, together in self._together(parked.without(list(events))):
            position = place[0]
            keys = self.keys_of(together)
            if place in given_up or any(waiting.get(key, position) < position for key in keys):
                self.park(together, given_up.get(place, ""))
                for key in keys:
                    waiting.setdefault(key, position)
            else:
                free += together
        return free

    def take_back(self, position: int, partition: int | None = None) -> None:
        """Park nothing behind a position, up to which a transaction has come only, after it began.

        Args:
            position: of the checkpoint, which is locked.
            partition: only in this one; default: in all.
        """
        behind = self.parked.filter(position__gt=position)
        (behind if partition is None else behind.filter(partition=partition)).delete()

    def park(self, together: Sequence[RecordedEvent], error: str) -> None:
        """Have an event wait, with all that it was upcast to in the same partition."""
        position, partition = self.place_of(together[0])
        self.parked.create(
            projection=self._name,
            partition=partition,
            position=position,
            event=together[0].identity,
            parts=[one.upcast_index for one in together],
            keys=self.keys_of(together),
            error=error,
        )

    def renumber(self) -> None:
        """Number what waits by the partition that its key is in now."""
        rows = list(self.parked.order_by("position", "partition"))
        numbers = [partition_of(one.keys[0] if one.keys else "", self._of) for one in rows]
        if numbers == [one.partition for one in rows]:
            return
        moved: dict[Place, ParkedEvent] = {}
        for one, number in zip(rows, numbers, strict=True):
            one.pk, one.partition = None, number
            first = moved.setdefault((one.position, number), one)
            if first is not one:
                # Parts of one event, which were in two partitions and are in one now.
                first.keys = sorted({*first.keys, *one.keys})
                both = [parts for parts in (first.parts, one.parts) if parts is not None]
                first.parts = sorted({*chain(*both)}) if len(both) == 2 else None
                first.error = first.error or one.error
        self.parked.delete()
        self.parked.bulk_create(moved.values())

    def keys_of(self, events: Iterable[RecordedEvent]) -> list[str]:
        """Return what the events are about, each once."""
        return sorted({key for event in events for key in keys_of(self._projection, event)})

    def _together(
        self, events: Iterable[RecordedEvent]
    ) -> Iterator[tuple[Place, list[RecordedEvent]]]:
        for _, group in groupby(events, key=attrgetter("position")):
            parts: dict[Place, list[RecordedEvent]] = {}
            for event in group:
                parts.setdefault(self.place_of(event), []).append(event)
            yield from parts.items()
