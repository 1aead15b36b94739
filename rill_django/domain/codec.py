"""JSON in and out: messages to `NewEvent`, `StoredEvent` to `RecordedEvent`. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from .errors import InvalidMessage, UnreadableEvent
from .frozen import ATOMS, frozen
from .messages import EventMessage, plain_scalar
from .payload import plain_values, written_out
from .records import (
    NewEvent,
    RecordedEvent,
    StoredEvent,
    UnknownEvent,
    decode_metadata,
    recorded_type,
)
from .registry import Registry
from .storable import Unstorable, place_in, settled
from .times import refuse_naive
from .upcasting import RawEvent, apply_upcasters


def _float_or_decimal(text: str) -> float | Decimal:
    """Return a number of JSON that has a point: as a float only if that has all its digits."""
    number = float(text)
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


_encoder = msgspec.json.Encoder(enc_hook=plain_scalar)
_object = msgspec.json.Decoder(dict[str, Any])
# What upcasters see and leave of numbers has the digits that are stored.
_exact = msgspec.json.Decoder(dict[str, Any], float_hook=_float_or_decimal)
_numbers = msgspec.json.Encoder(enc_hook=plain_scalar, decimal_format="number")


def encode_event(message: EventMessage, metadata: bytes = b"{}") -> NewEvent:
    """Encode a message for the log, one that its type has made.

    Raises:
        InvalidMessage: a value that JSON cannot hold, in a message that was made by hand.
    """
    definition = message.definition
    try:
        data = definition.payload.encode(message)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidMessage(definition.name, "", f"cannot be stored as JSON: {error}") from error
    return NewEvent(definition.name, data, metadata)


def encode_metadata(metadata: Mapping[str, Any]) -> bytes:
    """Encode metadata; empty values are left out.

    Raises:
        InvalidMessage: a value that JSON, or one of the databases, cannot hold, or an ``occurred_at``
            without a time zone.
    """
    given = {name: value for name, value in metadata.items() if value is not None}
    refuse_naive(given.get("occurred_at"))
    try:
        if not ATOMS.issuperset(map(type, given.values())):
            given = plain_values(given, in_one_order=True)
        for name, value in given.items():
            given[name] = settled(value)
        return written_out(_encoder.encode(given))
    except Unstorable as error:
        raise InvalidMessage("metadata", name + place_in(value), str(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidMessage("metadata", "", f"cannot be stored as JSON: {error}") from error


def decode_events(events: Iterable[StoredEvent], registry: Registry) -> Iterator[RecordedEvent]:
    """Decode stored events with today's code: upcast first, then typed.

    One stored event may become several, or none.

    Raises:
        UnreadableEvent: the payload does not fit the type, or an upcaster failed.
    """
    # Whole logs come by here: what is known of a type is looked up once.
    known: dict[str, tuple[Callable[[bytes], EventMessage], type[RecordedEvent]]] = {}
    for event in events:
        type = event.type
        if type not in known:
            if registry.has_upcasters_for(type):
                yield from _decode_upcast(event, registry)
                continue
            known[type] = _decoder_of(type, registry)
        decode, recorded = known[type]
        try:
            message = decode(event.data)
        except msgspec.MsgspecError as error:
            raise UnreadableEvent(event.stream, event.version, type, str(error)) from None
        yield recorded(event, type, message)


def _decoder_of(
    type: str, registry: Registry
) -> tuple[Callable[[bytes], EventMessage], type[RecordedEvent]]:
    definition = registry.events.get(type)
    if definition is None:
        return _decode_unknown, recorded_type(UnknownEvent)
    return definition.payload.decode, recorded_type(definition.payload.struct)


def _decode_unknown(data: bytes) -> UnknownEvent:
    return UnknownEvent(data=frozen(_object.decode(data), ordered=True))


def decode_stored(data: bytes) -> dict[str, Any]:
    """Return stored JSON as plain values, before upcasting and types; no digit of a number is lost.

    Raises:
        msgspec.MsgspecError, ValueError: it is no JSON object.
    """
    found: dict[str, Any] = _exact.decode(data)
    return found


def upcast_event(event: StoredEvent, registry: Registry) -> list[RawEvent]:
    """Return what the upcasters make of a stored event, as plain JSON values."""
    raw = RawEvent(
        type=event.type,
        data=decode_stored(event.data),
        metadata=decode_metadata(event.metadata),
        stream=event.stream,
        version=event.version,
    )
    return apply_upcasters(raw, registry.upcasters)


def _decode_upcast(event: StoredEvent, registry: Registry) -> Iterator[RecordedEvent]:
    try:
        for index, one in enumerate(upcast_event(event, registry)):
            definition = registry.events.get(one.type)
            message: Any = (
                UnknownEvent(data=frozen(one.data, ordered=True))
                if definition is None
                else definition.payload.decode(_numbers.encode(one.data))
            )
            kind: type[EventMessage] = type(message)
            yield recorded_type(kind)(event, one.type, message, one.metadata, index)
    except UnreadableEvent:
        raise
    except Exception as error:
        reason = f"after upcasting: {type(error).__name__}: {error}"
        raise UnreadableEvent(event.stream, event.version, event.type, reason) from error
