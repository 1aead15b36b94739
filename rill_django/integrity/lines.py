"""One event, one line: a CloudEvents 1.0 object in JSON.

Source: CloudEvents specification 1.0.2 and its JSON event format. ``streamversion`` and ``metadata`` are
extension attributes. These must be scalars there, so the metadata are a text that holds a JSON object.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Literal

import msgspec

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.integrity.canonical import canonical_object, has_nul
from rill_django.integrity.names import fault_of_stream, fault_of_type

DEFAULT_SOURCE = "/rill_django"
JSON_TYPE = "application/json"
LAST_VERSION = 2**31 - 1

_FINER_THAN_MICROSECONDS = re.compile(r"\.\d{6}\d*[1-9]")
# MySQL's calendar begins here.
_FIRST_TIME = datetime(1000, 1, 1, tzinfo=timezone.utc)


class MalformedLine(ValueError):
    """A line is not an event in this format; the text says what is wrong with it."""


class UnexportableEvent(ValueError):
    """A stored event has no canonical form; the text names it."""


class CloudEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The line, in the order of its names."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = JSON_TYPE
    streamversion: Annotated[int, msgspec.Meta(ge=0, le=LAST_VERSION)]
    metadata: str = "{}"
    data: msgspec.Raw


class Incoming(msgspec.Struct, frozen=True):
    """An event that was read from a line.

    Attributes:
        number: of the line, from 1.
        stream, version: its identity.
        event: the rest, in canonical form.
    """

    number: int
    stream: str
    version: int
    event: NewEvent

    @property
    def identity(self) -> str:
        """``stream@version``."""
        return f"{self.stream}@{self.version}"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CloudEvent)


def canonical_event(event: StoredEvent) -> NewEvent:
    """Return what a stored event says, apart from its identity, in canonical form.

    Raises:
        ValueError: data or metadata have no such form.
    """
    return NewEvent(
        event.type,
        canonical_object(event.data),
        canonical_object(event.metadata),
        event.recorded_at,
    )


def to_line(event: StoredEvent, source: str = DEFAULT_SOURCE) -> bytes:
    """Return the event as a line, its end included.

    Raises:
        UnexportableEvent: data or metadata have no canonical form.
    """
    identity = f"{event.stream}@{event.version}"
    try:
        canonical = canonical_event(event)
    except ValueError as error:
        raise UnexportableEvent(
            f"{identity} cannot be exported: its data or metadata {error}"
        ) from error
    line = CloudEvent(
        specversion="1.0",
        id=identity,
        source=source,
        type=event.type,
        subject=event.stream,
        time=_text_of(event.recorded_at),
        streamversion=event.version,
        metadata=canonical.metadata.decode(),
        data=msgspec.Raw(canonical.data),
    )
    return _encoder.encode(line) + b"\n"


def from_line(line: bytes, number: int) -> Incoming:
    """Read a line.

    Raises:
        MalformedLine: it is not such an event.
    """
    try:
        read = _decoder.decode(line)
    except msgspec.ValidationError as error:
        raise MalformedLine(_in_words(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise MalformedLine(f"is not JSON: {error}") from None
    fault = fault_of_stream(read.subject)
    if fault is not None:
        raise MalformedLine(f"subject {read.subject!r} {fault}")
    if read.id != f"{read.subject}@{read.streamversion}":
        raise MalformedLine(
            f"id is {read.id!r}, but subject and streamversion make "
            f"'{read.subject}@{read.streamversion}'"
        )
    if not read.source:
        raise MalformedLine("source is empty")
    fault = fault_of_type(read.type)
    if fault is not None:
        raise MalformedLine(fault)
    if read.datacontenttype != JSON_TYPE:
        raise MalformedLine(f"datacontenttype is {read.datacontenttype!r}, not {JSON_TYPE!r}")
    event = NewEvent(
        read.type, _object("data", read.data), _object("metadata", read.metadata), _time(read.time)
    )
    return Incoming(number, read.subject, read.streamversion, event)


def _object(name: str, text: msgspec.Raw | str) -> bytes:
    try:
        canonical = canonical_object(text if isinstance(text, str) else bytes(text))
    except ValueError as error:
        raise MalformedLine(f"{name} {error}") from None
    if has_nul(canonical):
        raise MalformedLine(f"{name} has a NUL character, which databases cannot store")
    return canonical


def _text_of(time: datetime) -> str:
    text = time.astimezone(timezone.utc).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def _time(text: str) -> datetime:
    try:
        time = msgspec.convert(text, datetime)
        utc = None if time.tzinfo is None else time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        utc = None
    if utc is None:
        raise MalformedLine(f"time {text!r} is not a time with a zone, as RFC 3339 has it")
    if _FINER_THAN_MICROSECONDS.search(text):
        raise MalformedLine(f"time {text!r} is finer than microseconds, which would be lost")
    if utc < _FIRST_TIME:
        raise MalformedLine(f"time {text!r} is before the year 1000, which databases cannot store")
    return utc


_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_WRONG = re.compile(r"(?P<what>.*) - at `\$\.(?P<name>\w+)`")


def _in_words(error: str) -> str:
    if missing := _MISSING.match(error):
        return f"{missing[1]} is missing"
    if unknown := _UNKNOWN.match(error):
        return f"has {unknown[1]!r}, which would be lost; leave it out, or put it into metadata"
    if wrong := _WRONG.fullmatch(error):
        return f"{wrong['name']}: {wrong['what']}"
    return error
