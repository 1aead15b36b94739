"""Whether today's code knows the kinds of events that a log has: their types, and those of their streams."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rill_django.domain.codec import decode_events
from rill_django.domain.errors import UnreadableEvent, cure_of_unknown_type
from rill_django.domain.registry import Registry
from rill_django.domain.unknown import Unknown, unknown_of, unknown_of_event
from rill_django.store.orm import DjangoEventStore
from rill_django.store.selection import Selection
from rill_django.store.tables import StoredType

AT_MOST = 1_000
"""Kinds that are told of; more than that are no types, but damage."""


class UnknownKind(msgspec.Struct, frozen=True):
    """A kind of events that are in the log, and that no code knows.

    Attributes:
        what: is unknown.
        name: of the aggregate type or event type.
        first: identity of the first such event.
    """

    what: Unknown
    name: str
    first: str

    @property
    def cure(self) -> str:
        """What to do, in words."""
        if self.what is Unknown.TYPE:
            return cure_of_unknown_type(self.name)
        return cure_of_unknown_aggregate(self.name)


def cure_of_unknown_aggregate(category: str) -> str:
    """Return, in words, what to do about streams of an aggregate type that no code knows."""
    return (
        "If the class was renamed or moved, give it the name that its streams have, class "
        f"…(Aggregate, name={category!r}). If it is gone for good, have them passed over: "
        f"RILL['UNKNOWN_EVENTS'] = [{category!r}]."
    )


def unknown_kinds(store: DjangoEventStore, registry: Registry) -> list[UnknownKind]:
    """Return the kinds of events that the log has and no code knows; by the small table of stored types."""
    found: dict[tuple[Unknown, str], UnknownKind] = {}
    rows = StoredType.objects.using(store.using).order_by("category", "type", "pk")
    for category, type, stream, version in rows.values_list(
        "category", "type", "stream", "version"
    ).iterator():
        for unknown, name in _unknown_of_stored(store, registry, category, type, stream, version):
            kind = UnknownKind(unknown, name, f"{stream}@{version}")
            found.setdefault((unknown, name), kind)
        if len(found) >= AT_MOST:
            break
    return list(found.values())


def _unknown_of_stored(
    store: DjangoEventStore, registry: Registry, category: str, type: str, stream: str, version: int
) -> Iterator[tuple[Unknown, str]]:
    if not registry.has_upcasters_for(type):
        definition, owner = registry.events.get(type), registry.aggregates.get(category)
        is_known = definition is not None and definition.aggregate is owner
        unknown = unknown_of(category, type, type, is_known, registry)
        if unknown is not None:
            yield unknown, category if unknown is Unknown.AGGREGATE else type
        return
    # What upcasters make of a type, only an event of that type can tell.
    first = store.fetch(Selection(stream=stream, from_version=version, limit=1))
    try:
        for event in decode_events(first, registry):
            unknown = unknown_of_event(event, category, registry)
            if unknown is not None:
                yield unknown, category if unknown is Unknown.AGGREGATE else event.type
    except UnreadableEvent:  # Which is another matter, and `verify_events` tells.
        return
