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
        rows: positions, the event there (``stream@version``), and which parts of it. A log that was
            restored may have another one there.
    """

    def __init__(self, rows: Iterable[tuple[int, str, Parts]]) -> None:
        self._parts: dict[int, dict[str, frozenset[int] | None]] = {}
        for position, event, parts in rows:
            there = self._parts.setdefault(position, {})
            before = there.get(event, frozenset())
            there[event] = None if parts is None or before is None else before.union(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeftOut) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]

    def has(self, position: int, event: str) -> bool:
        """Whether this event, or a part of it, is left out at this position."""
        return event in self._parts.get(position, ())

    def without(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """Return the others."""
        if not self._parts:
            return events
        return [one for one in events if not self._has(one)]

    def _has(self, event: RecordedEvent) -> bool:
        there = self._parts.get(event.position or 0)
        if there is None:
            return False
        parts = there.get(event.identity, frozenset())
        return parts is None or event.upcast_index in parts


def skipped(projection: Projection) -> LeftOut:
    """Return what somebody has decided to leave out."""
    return LeftOut(_skipped(projection))


def skipped_or_parked(projection: Projection) -> LeftOut:
    """Return that, and what waits."""
    rows = ParkedEvent.objects.using(projection.using).filter(projection=projection.name)
    parked: list[tuple[int, str, Parts]] = list(rows.values_list("position", "event", "parts"))
    return LeftOut([*_skipped(projection), *parked])


def _skipped(projection: Projection) -> list[tuple[int, str, Parts]]:
    rows = SkippedEvent.objects.using(projection.using).filter(projection=projection.name)
    return list(rows.values_list("position", "event", "parts"))
