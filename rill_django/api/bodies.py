"""Events and values as the API shows them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from rill_django.domain.codec import decode_events, decode_stored
from rill_django.domain.errors import UnreadableEvent
from rill_django.domain.messages import Message
from rill_django.domain.records import RecordedEvent, StoredEvent, UnknownEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.storable import Unstorable, whole

logger = logging.getLogger("rill_django.api")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what JSON has no form for, as text."""
    if isinstance(value, UnknownEvent):
        return dict(value.data)
    if isinstance(value, Message):
        return value.to_dict()
    return _as_json(msgspec.to_builtins(value, enc_hook=_dict_or_text))


def _dict_or_text(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _as_json(value: Any) -> Any:
    """Return plain values without keys, numbers and characters that JSON would not take."""
    if isinstance(value, dict):
        return {_text(str(name)): _as_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(one) for one in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if type(value) is int:
        try:
            return whole(value)
        except Unstorable:  # Python does not write out so many digits.
            return hex(value)
    return value


def _text(value: str) -> str:
    return value if value.isascii() else value.encode(errors="backslashreplace").decode()


def event_body(event: RecordedEvent) -> dict[str, Any]:
    """Return an event as the API shows it."""
    return {
        **_place(event.stored),
        "type": event.type,
        "recorded_at": event.recorded_at.isoformat(),
        "data": plain(event.message),
        "metadata": plain(event.metadata),
    }


def event_bodies(stored: Sequence[StoredEvent]) -> list[dict[str, Any]]:
    """Return stored events as the API shows them.

    One that today's code cannot read is there, too: with ``data`` that is null, and ``unreadable``, which has
    the reason and the data as they are stored. So whoever follows the log is neither stuck nor misses it.
    """
    try:
        return [event_body(event) for event in decode_events(stored, current_registry())]
    except _UNREADABLE:
        return [body for one in stored for body in _bodies_of(one)]


_UNREADABLE = (UnreadableEvent, msgspec.MsgspecError, ValueError, RecursionError)


def _bodies_of(stored: StoredEvent) -> Iterator[dict[str, Any]]:
    try:
        bodies = [event_body(event) for event in decode_events([stored], current_registry())]
    except _UNREADABLE as error:
        logger.error("%s", error)
        yield _unreadable_body(stored, getattr(error, "reason", str(error)))
    else:
        yield from bodies


def _unreadable_body(stored: StoredEvent, reason: str) -> dict[str, Any]:
    return {
        **_place(stored),
        "type": stored.type,
        "recorded_at": stored.recorded_at.isoformat(),
        "data": None,
        "metadata": _as_stored(stored.metadata),
        "unreadable": {"reason": reason, "data": _as_stored(stored.data)},
    }


def _place(stored: StoredEvent) -> dict[str, Any]:
    return {
        "id": stored.identity,
        "position": stored.position,
        "stream": stored.stream,
        "version": stored.version,
    }


def _as_stored(data: bytes) -> Any:
    """Return JSON as values; as text, if it is none."""
    try:
        return plain(decode_stored(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return data.decode(errors="backslashreplace")
