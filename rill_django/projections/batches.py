"""Stretches of the log, as projections apply them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rill_django.domain.codec import decode_events
from rill_django.domain.errors import UnreadableEvent
from rill_django.domain.records import RecordedEvent, StoredEvent
from rill_django.domain.registry import Registry, current_registry
from rill_django.projections.newer_events import NO_KINDS, Kinds, types_for
from rill_django.projections.projection import Projection
from rill_django.store.pages import PAGE_BYTES
from rill_django.store.protocol import EventStore

LOOK_AT_MOST = 100_000
"""Most positions that are looked at for a batch: where few events are wanted, it gets on all the same."""


class Batch(NamedTuple):
    """A stretch of the log.

    Attributes:
        start: position before its first event.
        events: those of interest.
        end: last position that it covers.
        unreadable: set if the stretch is a single event that today's code cannot decode.
        seen: ``stream@version`` of the event at its end.
        unknown: types that today's code does not know, and that it may hold events of.
    """

    start: int
    events: Sequence[RecordedEvent]
    end: int
    unreadable: UnreadableEvent | None = None
    seen: str = ""
    unknown: Kinds = NO_KINDS

    def of(self, is_wanted: Callable[[RecordedEvent], bool]) -> Batch:
        """Return the same stretch with fewer events of interest."""
        return self._replace(events=[event for event in self.events if is_wanted(event)])

    def up_to(self, position: int) -> Batch:
        """Return the stretch without what is behind a position."""
        if self.end <= position:
            return self
        within = [event for event in self.events if (event.position or 0) <= position]
        is_last = bool(within) and within[-1].position == position
        return Batch(self.start, within, position, seen=within[-1].identity if is_last else "")

    def before(self, event: RecordedEvent) -> Batch:
        """Return the stretch up to the last event of interest in front of this one."""
        position = event.position or 0
        within = [one for one in self.events if (one.position or 0) < position]
        if not within:
            return Batch(self.start, (), self.start)
        return Batch(self.start, within, within[-1].position or 0, seen=within[-1].identity)

    def first(self, size: int) -> Batch:
        """Return the stretch up to so many events, or a few more if they are of one position."""
        return self if len(self.events) <= size else self.split_before(size)[0]

    @property
    def is_single(self) -> bool:
        """Whether all its events are of one position: one stored event, maybe upcast to several."""
        return not self.events or self.events[0].position == self.events[-1].position

    def split_before(self, index: int) -> tuple[Batch, Batch]:
        """Return the stretch up to the event with this index, and the one from it on.

        Events of one position stay together; neither part is empty.
        """
        positions = [event.position for event in self.events]
        index = positions.index(positions[index])
        if index == 0:
            index = len(positions) - positions[::-1].index(positions[0])
        last = self.events[index - 1]
        border = last.position or 0
        return (
            Batch(self.start, self.events[:index], border, seen=last.identity),
            Batch(border, self.events[index:], self.end, seen=self.seen),
        )


def read_batch(
    store: EventStore,
    projections: Sequence[Projection],
    position: int,
    head: int,
    size: int,
    *,
    share: tuple[int, int] | None = None,
    look_at: int = LOOK_AT_MOST,
    unknown: Kinds = NO_KINDS,
) -> Batch:
    """Read the next events behind ``position``, up to ``head``, that one of the projections handles.

    An event that cannot be read ends the batch; if it is the first one, it is all of the batch.

    Args:
        position: last position that has been dealt with.
        head: a position that is known to be in the log.
        size: most events in the batch, which ends earlier where they are long: in memory an event may take up
            many times its bytes.
        share: only streams of this share of so many; see `Reader.share`.
        look_at: most positions that the batch covers.
        unknown: types that today's code does not know, so that the projections may not pass over such events:
            the batch has them, too.
    """
    also = types_for(projections, unknown)
    batch = _read_batch(store, projections, position, head, size, share, look_at, also)
    return batch._replace(unknown=unknown) if also else batch


def _read_batch(
    store: EventStore,
    projections: Sequence[Projection],
    position: int,
    head: int,
    size: int,
    share: tuple[int, int] | None,
    look_at: int,
    also: frozenset[str],
) -> Batch:
    end = min(head, position + look_at)
    reader = store.read().after(position).up_to(end).limit(size).max_bytes(PAGE_BYTES)
    if share is not None:
        reader = reader.share(*share)
    types = stored_types(projections, current_registry())
    if types is not None:
        reader = reader.of_type(*types, *also)
    stored = list(reader.stored())
    registry = current_registry()
    try:
        events = list(decode_events(stored, registry))
    except UnreadableEvent:
        return _up_to_unreadable(stored, position, registry)
    # A batch that is not full has seen all there is: behind its last event nothing is wanted.
    last = stored[-1] if stored else None
    if last is None or (reader.is_end(stored) and last.position != end):
        return Batch(position, events, end, seen=store.identities_at([end]).get(end, ""))
    return Batch(position, events, last.position or 0, seen=last.identity)


def _up_to_unreadable(stored: Iterable[StoredEvent], position: int, registry: Registry) -> Batch:
    """Return what comes before the event that cannot be read; or that one, if it is the first."""
    events: list[RecordedEvent] = []
    end, seen = position, ""
    for one in stored:
        at = one.position or 0
        try:
            # Of one stored event that becomes several, all have to be readable.
            events += list(decode_events([one], registry))
        except UnreadableEvent as error:
            if events:
                break
            return Batch(position, [], at, error, one.identity)
        end, seen = at, one.identity
    return Batch(position, events, end, seen=seen)


def stored_types(projections: Sequence[Projection], registry: Registry) -> frozenset[str] | None:
    """Return the type names that may be stored for the events wanted; ``None``: any."""
    wanted = {type for projection in projections for type in projection.handlers}
    for upcaster in registry.upcasters:
        if not upcaster.types:
            return None
        wanted |= upcaster.types
    return frozenset(wanted)
