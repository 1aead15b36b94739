"""Events, or parts of those that are upcast to several, that a projection's rows do without."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from rill_django.domain.records import RecordedEvent
from rill_django.projections.held import ParkedEvent, SkippedEvent
from rill_django.projections.projection import Projection

Parts: TypeAlias = "Sequence[int] | None"
"""Which of the events that a stored one is upcast to, from 0; ``None``: all of them."""


class LeftOut:
    """What is left out.

    Args:
        rows: positions, and which parts of the event there.
    """

    def __init__(self, rows: Iterable[tuple[int, Parts]]) -> None:
        self._parts: dict[int, frozenset[int] | None] = {}
        for position, parts in rows:
            before = self._parts.get(position, frozenset())
            both = None if parts is None or before is None else before.union(parts)
            self._parts[position] = both

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeftOut) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, position: int) -> bool:
        return position in self._parts

    def without(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """Return the others."""
        if not self._parts:
            return events
        return [one for one in events if not self._has(one)]

    def _has(self, event: RecordedEvent) -> bool:
        parts = self._parts.get(event.position or 0, frozenset())
        return parts is None or event.upcast_index in parts


def skipped(projection: Projection) -> LeftOut:
    """Return what somebody has decided to leave out."""
    return LeftOut(_skipped(projection))


def skipped_or_parked(projection: Projection) -> LeftOut:
    """Return that, and what waits."""
    rows = ParkedEvent.objects.using(projection.using).filter(projection=projection.name)
    parked: list[tuple[int, Parts]] = list(rows.values_list("position", "parts"))
    return LeftOut([*_skipped(projection), *parked])


def _skipped(projection: Projection) -> list[tuple[int, Parts]]:
    rows = SkippedEvent.objects.using(projection.using).filter(projection=projection.name)
    return list(rows.values_list("position", "parts"))
