"""What the store has of many streams at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from rill_django.domain.records import NewEvent
from rill_django.integrity.canonical import canonical_object
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Event

AT_ONCE = 250
"""Names, and versions, in one condition; old SQLites take 999 parameters in all."""

T = TypeVar("T")


def versions_of(store: DjangoEventStore, streams: Collection[str]) -> dict[str, int]:
    """Return the version of each stream's last event; those without events are left out."""
    found: dict[str, int] = {}
    for some in _chunks(streams):
        found.update(store.versions(some))
    return found


def events_at(
    store: DjangoEventStore, identities: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], NewEvent]:
    """Return the events of these streams and versions, in canonical form.

    Raises:
        ValueError: what is stored has none.
    """
    found: dict[tuple[str, int], NewEvent] = {}
    texts = {name: Cast(name, TextField()) for name in ("data", "metadata")}
    for condition in _conditions(identities):
        events = (
            Event.objects.using(store.using)
            .filter(condition)
            .annotate(data_text=texts["data"], metadata_text=texts["metadata"])
        )
        for stream, version, type, data, metadata, time in events.values_list(
            "stream", "version", "type", "data_text", "metadata_text", "recorded_at"
        ):
            found[stream, version] = NewEvent(
                type, canonical_object(data), canonical_object(metadata), time
            )
    return found


def _conditions(identities: Iterable[tuple[str, int]]) -> Iterator[Q]:
    """Yield conditions that find exactly these, many streams of the same versions at once."""
    versions: dict[str, list[int]] = defaultdict(list)
    for stream, version in sorted(identities):
        versions[stream].append(version)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for stream, wanted in versions.items():
        alike[tuple(wanted)].append(stream)
    together, parameters = Q(), 0
    for numbers, streams in alike.items():
        for some_streams in _chunks(streams):
            for some_numbers in _chunks(numbers):
                together |= Q(stream__in=some_streams, version__in=some_numbers)
                parameters += len(some_streams) + len(some_numbers)
                if parameters >= AT_ONCE:
                    yield together
                    together, parameters = Q(), 0
    if parameters:
        yield together


def _chunks(values: Iterable[T]) -> Iterator[Sequence[T]]:
    left = iter(values)
    while some := list(islice(left, AT_ONCE)):
        yield some
