"""Checks of what events say. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from rill_django.domain.codec import decode_events
from rill_django.domain.errors import UnreadableEvent
from rill_django.domain.records import RecordedEvent, StoredEvent, UnknownEvent
from rill_django.domain.registry import Registry
from rill_django.domain.streams import stream_name
from rill_django.integrity.findings import Damage, Findings
from rill_django.integrity.names import fault_of_stream

_object = msgspec.json.Decoder(dict)


class ContentCheck:
    """Reads events by today's code, and compares them with the streams that they are in.

    Args:
        registry: today's types and upcasters.
        findings: where the damage is noted.
    """

    def __init__(self, registry: Registry, findings: Findings) -> None:
        self._registry = registry
        self._findings = findings
        self._renewed = frozenset(
            type for upcaster in registry.upcasters for type in upcaster.types
        )

    def check(self, page: Iterable[StoredEvent]) -> None:
        """Check some events."""
        events = [self._with_sound_metadata(event) for event in page]
        self._findings.events += len(events)
        places = {(event.stream, event.version): event for event in events}
        left = iter(events)
        while True:
            try:
                for recorded in decode_events(left, self._registry):
                    self._check_recorded(recorded, places[recorded.stream, recorded.version])
                return
            except UnreadableEvent as error:
                # The iterator stands behind the event that could not be read.
                at = places[error.stream, error.version].position or 0
                self._findings.note(
                    Damage.UNREADABLE,
                    at,
                    f"{_place(at)}, {error.identity} ({error.type}): {error.reason}",
                )

    def _with_sound_metadata(self, event: StoredEvent) -> StoredEvent:
        """Return the event, in place of broken metadata with none, so that the rest is checked too."""
        fault = fault_of_stream(event.stream)
        if fault is not None:
            self._note(Damage.STREAM, event, fault)
        fault = _fault_of_metadata(event.metadata)
        if fault is None:
            return event
        self._note(Damage.METADATA, event, fault)
        return msgspec.structs.replace(event, metadata=b"{}")

    def _check_recorded(self, recorded: RecordedEvent, event: StoredEvent) -> None:
        message = recorded.message
        if isinstance(message, UnknownEvent):
            self._findings.note_unknown(recorded.type)
            return
        # An upcaster may move an event to another type, or give its keys another form; then the
        # stream still has the old name, rightly.
        if recorded.type != event.type or event.type in self._renewed:
            return
        aggregate = message.definition.aggregate
        keys = (getattr(message, name) for name in aggregate.key_names())
        own = _stream_of(aggregate.type_name, *keys)
        if own != event.stream:
            self._note(Damage.WRONG_STREAM, event, f"{event.type} belongs to {own}")

    def _note(self, kind: Damage, event: StoredEvent, what: str) -> None:
        at = event.position or 0
        self._findings.note(kind, at, f"{_place(at)}, {event.stream}@{event.version}: {what}")


def _place(position: int) -> str:
    return f"position {position:,}"


# Events of one stream are often near each other. Typed, since 1 and True are equal.
@lru_cache(maxsize=4096, typed=True)
def _stream_of(category: str, *keys: Any) -> str:
    return stream_name(category, tuple(keys))


# Events of one request share their metadata.
@lru_cache(maxsize=1024)
def _fault_of_metadata(metadata: bytes) -> str | None:
    try:
        _object.decode(metadata)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None
