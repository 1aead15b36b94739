"""Events of a newer release: this worker's code does not know their types, and must not pass over them.

In a rolling release workers of two releases follow one log. Of an aggregate that a projection listens to, the
newer one may store events of a type that the older one does not know, and handle it in the projection. Were
the older worker to move the checkpoint past such an event, the projection would never get it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from rill_django.domain.errors import RillError, cure_of_unknown_type
from rill_django.domain.records import RecordedEvent, UnknownEvent
from rill_django.domain.registry import Registry, current_registry
from rill_django.domain.unknown import Unknown, unknown_of
from rill_django.projections.projection import Projection
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore
from rill_django.store.tables import StoredType

Kinds: TypeAlias = "Mapping[str, Collection[str]]"
"""Types of events, by the aggregate type of their streams."""

NO_KINDS: Kinds = {}


class UnknownTypes(RillError):
    """A projection cannot be made anew: the log has events that no code knows, which would be left out.

    Attributes:
        projection: its name.
        types: names of the types.
    """

    def __init__(self, projection: str, types: tuple[str, ...]) -> None:
        self.projection = projection
        self.types = types
        super().__init__(
            f"{projection} follows an aggregate whose streams hold events that no code knows: "
            f"{', '.join(types)}. Its rows are not made anew, since they would be left out. "
            f"{cure_of_unknown_type(types[0])}"
        )

    def __reduce__(self) -> tuple[type[UnknownTypes], tuple[str, tuple[str, ...]]]:
        return type(self), (self.projection, self.types)


class NewerTypes:
    """Which types of the log today's code does not know; asked of the log only when that has grown.

    Args:
        store: the log.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._head = -1
        self._kinds = NO_KINDS

    def at(self, head: int) -> Kinds:
        """Return those of the events up to a position, which is known to be in the log."""
        if head != self._head:
            # A type is noted in the transaction that stores its first event: who sees this sees that.
            self._kinds = unknown_types(self._store)
            self._head = head
        return self._kinds


def unknown_types(store: EventStore) -> Kinds:
    """Return the types of the log that today's code does not know, though it knows their aggregate type.

    What an upcaster is for, it knows. Types that somebody has said to pass over are left out.
    """
    if not isinstance(store, DjangoEventStore):
        return NO_KINDS
    registry = current_registry()
    found: dict[str, set[str]] = {}
    rows = StoredType.objects.using(store.using).order_by().values_list("category", "type")
    for category, type in rows:
        if category in registry.aggregates and _is_unknown(category, type, registry):
            found.setdefault(category, set()).add(type)
    return found


def _is_unknown(category: str, type: str, registry: Registry) -> bool:
    if type in registry.events or any(type in one.types for one in registry.upcasters):
        return False
    return unknown_of(category, type, type, False, registry) is Unknown.TYPE


def categories_of(projection: Projection) -> frozenset[str]:
    """Return the names of the aggregate types that a projection listens to."""
    events = current_registry().events
    return frozenset(
        events[type].aggregate.type_name for type in projection.handlers if type in events
    )


def first_newer(
    events: Iterable[RecordedEvent], kinds: Kinds, categories: Collection[str]
) -> RecordedEvent | None:
    """Return the first event of these kinds in a stream of these aggregate types."""
    for event in events:
        if isinstance(event.message, UnknownEvent):
            category = event.stream.partition("/")[0]
            if category in categories and event.stored.type in kinds.get(category, ()):
                return event
    return None


def types_for(projections: Sequence[Projection], kinds: Kinds) -> frozenset[str]:
    """Return the types among these kinds that one of the projections must not pass over."""
    if not kinds:
        return frozenset()
    categories = {name for one in projections for name in categories_of(one)}
    return frozenset(type for name in categories for type in kinds.get(name, ()))


def refuse_unknown_types(projection: Projection, store: EventStore) -> None:
    """Raise `UnknownTypes` if rows that are made anew would leave out events that no code knows."""
    types = types_for([projection], unknown_types(store))
    if types:
        raise UnknownTypes(projection.name, tuple(sorted(types)))
