"""Checks of what events say. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from rill_django.domain.codec import decode_events, upcast_event
from rill_django.domain.errors import InvalidMessage, UnreadableEvent
from rill_django.domain.records import RecordedEvent, StoredEvent, UnknownEvent
from rill_django.domain.registry import Registry
from rill_django.domain.streams import stream_name
from rill_django.domain.times import moment_of, refuse_naive_in
from rill_django.domain.unknown import Unknown, unknown_of_event
from rill_django.integrity.findings import Damage, Findings, LostField, shown
from rill_django.integrity.lost_fields import is_field_passed_over, lost_fields
from rill_django.integrity.names import fault_of_stream, fault_of_type

_object = msgspec.json.Decoder(dict)
_CACHED_BYTES = 1_000


class ContentCheck:
    """Reads events by today's code, and compares them with the streams that they are in.

    Args:
        registry: today's types and upcasters.
        findings: where the damage is noted.
        noted: category and type of the events that the table of stored types has; ``None``: do not ask.
        place: what the numbers are that stand in the place of positions.
        is_strict: whether all values have to be such as today's code gives to new events.
    """

    def __init__(
        self,
        registry: Registry,
        findings: Findings,
        noted: Collection[tuple[str, str]] | None = None,
        *,
        place: str = "position",
        is_strict: bool = False,
    ) -> None:
        self._is_strict = is_strict
        self._kind_of_place = place
        self._registry = registry
        self._findings = findings
        self._noted = noted
        self._renewed = frozenset(
            type for upcaster in registry.upcasters for type in upcaster.types
        )
        self._reading: StoredEvent | None = None

    def check(self, page: Iterable[StoredEvent]) -> None:
        """Check some events."""
        left = self._one_by_one(page)
        while True:
            try:
                for recorded in decode_events(left, self._registry):
                    self._check_recorded(recorded)
                return
            except UnreadableEvent as error:
                self._note_unreadable(error.reason)
            except Exception as error:  # Whatever is stored there must not end the verification.
                self._note_unreadable(f"{type(error).__name__}: {error}")

    def _one_by_one(self, page: Iterable[StoredEvent]) -> Iterator[StoredEvent]:
        """Yield the events, in place of broken metadata with none, so that the rest is checked too."""
        for event in page:
            self._findings.events += 1
            self._reading = event
            yield self._with_sound_metadata(event)

    def _note_unreadable(self, reason: str) -> None:
        event = self._reading
        assert event is not None
        at = event.position or 0
        identity = f"{event.stream}@{event.version}"
        what = f"{self._place(at)}, {identity} ({event.type}): {reason}"
        kind = Damage.UNREADABLE if _is_object(event.data) else Damage.PAYLOAD
        self._findings.note(kind, at, what)

    def _with_sound_metadata(self, event: StoredEvent) -> StoredEvent:
        for kind, fault in (
            (Damage.STREAM, fault_of_stream(event.stream)),
            (Damage.TYPE, fault_of_type(event.type)),
        ):
            if fault is not None:
                self._note(kind, event, fault)
        if self._noted is not None:
            category = event.stream.partition("/")[0]
            if (category, event.type) not in self._noted:
                self._note(Damage.NOT_NOTED, event, f"{event.type} in streams of {category}")
        fault = _fault_of_metadata(event.metadata)
        if fault is None:
            if self._is_strict:
                self._check_time(event)
            return event
        self._note(Damage.METADATA, event, fault)
        return msgspec.structs.replace(event, metadata=b"{}")

    def _check_recorded(self, recorded: RecordedEvent) -> None:
        event, message = recorded.stored, recorded.message
        category = event.stream.partition("/")[0]
        is_unknown = isinstance(message, UnknownEvent)
        if is_unknown or category not in self._registry.aggregates:
            self._check_unknown(recorded, category)
        if not is_unknown:
            if self._is_strict:
                self._check_values(recorded)
            else:  # An import takes along what nobody knows yet.
                self._check_fields(recorded, category)
        # An upcaster may move an event to another type, or give its keys another form; then the
        # stream still has the old name, rightly.
        if is_unknown or recorded.type != event.type or event.type in self._renewed:
            return
        aggregate = message.definition.aggregate
        keys = (getattr(message, name) for name in aggregate.key_names())
        own = _stream_of(aggregate.type_name, *keys)
        if own != event.stream:
            self._note(Damage.WRONG_STREAM, event, f"{event.type} belongs to {own}")

    def _check_fields(self, recorded: RecordedEvent, category: str) -> None:
        event = recorded.stored
        if self._registry.has_upcasters_for(event.type):
            data = upcast_event(event, self._registry)[recorded.upcast_index].data
        else:
            data = _object.decode(event.data)
        for field in lost_fields(data, recorded.message):
            if not is_field_passed_over(recorded.type, category, field, self._registry):
                at = event.position or 0
                first = (at, f"{self._place(at)}, {event.identity}")
                self._findings.note_lost_field(LostField(recorded.type, shown(field), 1, first))

    def _check_time(self, event: StoredEvent) -> None:
        try:
            refuse_naive_in(event.metadata)
        except InvalidMessage as error:
            self._note(Damage.METADATA, event, f"today's code would refuse them: {error}")

    def _check_values(self, recorded: RecordedEvent) -> None:
        message = recorded.message
        try:
            message.definition.from_dict(message.to_dict())
        except InvalidMessage as error:
            what = f"today's code would refuse it: {error}"
            self._note(Damage.UNREADABLE, recorded.stored, what)

    def _check_unknown(self, recorded: RecordedEvent, category: str) -> None:
        unknown = unknown_of_event(recorded, category, self._registry)
        is_unknown = isinstance(recorded.message, UnknownEvent)
        if unknown is None:
            if is_unknown:
                self._findings.note_passed_over(recorded.type)
            return
        if is_unknown:
            self._findings.note_unknown(recorded.type)
        if unknown is Unknown.AGGREGATE:
            self._note(Damage.UNKNOWN_AGGREGATE, recorded.stored, f"no code knows {category}")
        else:
            self._note(Damage.UNKNOWN_TYPE, recorded.stored, f"no code knows {recorded.type}")

    def _note(self, kind: Damage, event: StoredEvent, what: str) -> None:
        at = event.position or 0
        self._findings.note(kind, at, f"{self._place(at)}, {event.stream}@{event.version}: {what}")

    def _place(self, number: int) -> str:
        return f"{self._kind_of_place} {number:,}"


def _is_object(data: bytes) -> bool:
    try:
        _object.decode(data)
    except (ValueError, RecursionError):
        return False
    return True


# Events of one stream are often near each other. Typed, since 1 and True are equal.
@lru_cache(maxsize=4096, typed=True)
def _stream_of(category: str, *keys: Any) -> str:
    return stream_name(category, tuple(keys))


def _fault_of_metadata(metadata: bytes) -> str | None:
    # Events of one request share their metadata; large ones would fill the memory.
    small = len(metadata) <= _CACHED_BYTES
    return _known_fault_of_metadata(metadata) if small else _look_for_fault_of_metadata(metadata)


def _look_for_fault_of_metadata(metadata: bytes) -> str | None:
    try:
        found = _object.decode(metadata)
    except (ValueError, RecursionError) as error:
        return str(error)
    try:
        if found.get("occurred_at") is not None:
            moment_of(found["occurred_at"])
    except (ValueError, OverflowError) as error:
        return f"occurred_at: {error}"
    return None


_known_fault_of_metadata = lru_cache(maxsize=1024)(_look_for_fault_of_metadata)
