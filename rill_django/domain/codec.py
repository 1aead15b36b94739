"""JSON in and out: messages to `NewEvent`, `StoredEvent` to `RecordedEvent`. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

import msgspec

from .errors import InvalidMessage, UnreadableEvent
from .messages import EventMessage, plain_scalar
from .records import (
    NewEvent,
    RecordedEvent,
    StoredEvent,
    UnknownEvent,
    decode_metadata,
    recorded_type,
)
from .registry import Registry
from .upcasting import RawEvent, apply_upcasters

_encoder = msgspec.json.Encoder(enc_hook=plain_scalar)
_plain = msgspec.json.Decoder()
_object = msgspec.json.Decoder(dict[str, Any])


def encode_event(message: EventMessage, metadata: bytes = b"{}") -> NewEvent:
    """Encode a message for the log.

    Raises:
        InvalidMessage: a value that JSON, or one of the databases, cannot hold.
    """
    definition = message.definition
    try:
        data = _encoder.encode(message)
        if definition.payload.unsafe_floats:
            _refuse_unsafe_floats(msgspec.to_builtins(message))
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidMessage(definition.name, "", f"cannot be stored as JSON: {error}") from error
    if b"\\u0000" in data and "\0" in _texts(_plain.decode(data)):
        raise InvalidMessage(
            definition.name, "", "a text has a NUL character in it, which databases cannot store"
        )
    return NewEvent(definition.name, data, metadata)


def _refuse_unsafe_floats(value: Any) -> None:
    """Raise `ValueError` for NaN and infinity: JSON would have null in their place."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"JSON has no number {value}")
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            _refuse_unsafe_floats(one)


def _texts(value: Any) -> str:
    """All texts inside a plain JSON value, run together."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "".join(map(_texts, (*value.keys(), *value.values())))
    return "".join(map(_texts, value)) if isinstance(value, list) else ""


def encode_metadata(metadata: Mapping[str, Any]) -> bytes:
    """Encode metadata; empty values are left out."""
    given = {name: value for name, value in metadata.items() if value is not None}
    try:
        encoded = _encoder.encode(given)
        _refuse_unsafe_floats(msgspec.to_builtins(given, enc_hook=plain_scalar))
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidMessage("metadata", "", f"cannot be stored as JSON: {error}") from error
    if b"\\u0000" in encoded and "\0" in _texts(_plain.decode(encoded)):
        raise InvalidMessage("metadata", "", "a text has a NUL character in it")
    return encoded


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
            raise UnreadableEvent(event.stream, event.version, type, str(error)) from error
        yield recorded(event, type, message)


def _decoder_of(
    type: str, registry: Registry
) -> tuple[Callable[[bytes], EventMessage], type[RecordedEvent]]:
    definition = registry.events.get(type)
    if definition is None:
        return _decode_unknown, recorded_type(UnknownEvent)
    return definition.decoder.decode, recorded_type(definition.payload.struct)


def _decode_unknown(data: bytes) -> UnknownEvent:
    return UnknownEvent(data=_object.decode(data))


def _decode_upcast(event: StoredEvent, registry: Registry) -> Iterator[RecordedEvent]:
    try:
        raw = RawEvent(
            type=event.type,
            data=_object.decode(event.data),
            metadata=decode_metadata(event.metadata),
            stream=event.stream,
            version=event.version,
        )
        upcasted = apply_upcasters(raw, registry.upcasters)
        for index, one in enumerate(upcasted):
            definition = registry.events.get(one.type)
            message: Any = (
                UnknownEvent(data=one.data)
                if definition is None
                else msgspec.convert(one.data, definition.payload.struct, str_keys=True)
            )
            kind: type[EventMessage] = type(message)
            yield recorded_type(kind)(event, one.type, message, one.metadata, index)
    except UnreadableEvent:
        raise
    except Exception as error:
        reason = f"after upcasting: {type(error).__name__}: {error}"
        raise UnreadableEvent(event.stream, event.version, event.type, reason) from error
