"""Events that are about to be appended, with the versions and times that they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import msgspec

from rill_django.domain.records import StoredEvent
from rill_django.store.dialect import Row
from rill_django.store.protocol import Append

Numbered = Sequence[Sequence[StoredEvent]]
"""The events of each append."""

UNKNOWN_TIME = datetime.min.replace(tzinfo=timezone.utc)


def numbered(appends: Sequence[Append], expected: Mapping[str, int]) -> Numbered:
    """Return the events as they will be stored; those without a time get it from the database."""
    last = dict(expected)
    found = []
    for append in appends:
        stream, version = append.stream, last[append.stream]
        found.append(
            [
                StoredEvent(
                    stream,
                    version + number,
                    None,
                    event.type,
                    event.data,
                    event.metadata,
                    event.recorded_at or UNKNOWN_TIME,
                )
                for number, event in enumerate(append.events, start=1)
            ]
        )
        last[stream] = version + len(append.events)
    return found


def rows_of(appends: Sequence[Append], events: Numbered) -> list[Row]:
    """Return the events as they are inserted."""
    return [
        Row(
            one.stream,
            one.version,
            one.type,
            one.data.decode(),
            one.metadata.decode(),
            given.recorded_at,
        )
        for append, of_one in zip(appends, events, strict=True)
        for given, one in zip(append.events, of_one, strict=True)
    ]


def timed(events: Numbered, recorded_at: datetime) -> Numbered:
    """Return the events with the time that the database gave to those that had none."""
    return [
        [
            one
            if one.recorded_at is not UNKNOWN_TIME
            else msgspec.structs.replace(one, recorded_at=recorded_at)
            for one in of_one
        ]
        for of_one in events
    ]
