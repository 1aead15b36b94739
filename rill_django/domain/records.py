"""Events on their way into the log and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, cast

import msgspec

from .frozen import frozen
from .messages import EventMessage
from .times import moment_of


class NewEvent(msgspec.Struct, frozen=True):
    """An encoded event that is about to be appended.

    Attributes:
        type: full type name, e.g. ``bank.Account.opened``.
        data: the payload as a JSON object, key properties included.
        metadata: who, why and the like, as a JSON object.
        recorded_at: when it was recorded elsewhere, for events that are moved from another log;
            ``None``: now, by the store's clock.
    """

    type: str
    data: bytes
    metadata: bytes = b"{}"
    recorded_at: datetime | None = None


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the store holds it, not decoded.

    Attributes:
        stream: canonical stream name.
        version: place in its stream, from 0.
        position: place in the whole log, from 1; ``None`` while it has none yet.
        type: full type name at the time of storing.
        data: JSON object, UTF-8.
        metadata: JSON object, UTF-8.
        recorded_at: the database's clock, in UTC.
    """

    stream: str
    version: int
    position: int | None
    type: str
    data: bytes
    metadata: bytes
    recorded_at: datetime

    @property
    def identity(self) -> str:
        """``stream@version``."""
        return f"{self.stream}@{self.version}"


class UnknownEvent(EventMessage, frozen=True):
    """Stands for an event whose type today's code does not know.

    Attributes:
        data: the payload, as plain JSON values.
    """

    data: Mapping[str, Any]


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """A stored event, decoded: what projections, triggers and `Ok` hand out.

    The fields of the event's own payload can be read straight from it: ``event.amount`` is
    ``event.message.amount``. That is why an event's parameters must not have the names of what stands
    below.

    Attributes:
        stored: the event as the store holds it.
        type: full type name by today's code (after upcasting).
        message: the typed payload, or an `UnknownEvent`.
        upcast_index: which of the events it is that an upcaster has made of the stored one, from 0.
    """

    stored: StoredEvent
    type: str
    message: EventMessage
    upcast_metadata: Mapping[str, Any] | None = None
    upcast_index: int = 0

    @property
    def stream(self) -> str:
        """Canonical name of its stream."""
        return self.stored.stream

    @property
    def version(self) -> int:
        """Its place in its stream, from 0."""
        return self.stored.version

    @property
    def position(self) -> int | None:
        """Its place in the whole log, from 1; ``None`` while it has none."""
        return self.stored.position

    @property
    def recorded_at(self) -> datetime:
        """When it was stored, by the database's clock."""
        return self.stored.recorded_at

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Who, why and the like."""
        if self.upcast_metadata is not None:
            return self.upcast_metadata
        return decode_metadata(self.stored.metadata)

    @property
    def identity(self) -> str:
        """Name of the event for the outside world: ``stream@version``."""
        return f"{self.stream}@{self.version}"

    @property
    def occurred_at(self) -> datetime:
        """When it happened: the metadata's ``occurred_at`` for imported history, else `recorded_at`."""
        given = self.metadata.get("occurred_at")
        return self.recorded_at if given is None else moment_of(given)

    def __getattr__(self, name: str) -> Any:
        # Only called for names that this class does not have itself.
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(self.message, name)
        except AttributeError:
            fields = ", ".join(self.message.__struct_fields__) or "no fields"
            raise AttributeError(f"event {self.type} has no {name!r}; it has {fields}") from None

    def __eq__(self, other: object) -> bool:
        # Not the text that is stored: each database has its own way to write JSON.
        if not isinstance(other, RecordedEvent):
            return NotImplemented
        return (
            (self.identity, self.position, self.type, self.recorded_at, self.upcast_index)
            == (other.identity, other.position, other.type, other.recorded_at, other.upcast_index)
            and self.message == other.message
            and self.metadata == other.metadata
        )

    def __hash__(self) -> int:
        return hash((self.identity, self.upcast_index))

    def __reduce__(self) -> Any:
        return _recorded, tuple(getattr(self, name) for name in RecordedEvent.__struct_fields__)

    def __repr__(self) -> str:
        place = "" if self.position is None else f" at {self.position}"
        return f"<{self.identity}{place}: {self.message!r}>"


@cache
def recorded_type(message: type[EventMessage]) -> type[RecordedEvent]:
    """Return what events with a message of this type are made of: they have its fields as attributes.

    By ``__getattr__`` alone it would take seven times as long to read one, which projections feel.
    """
    fields = {name: property(attrgetter(f"message.{name}")) for name in message.__struct_fields__}
    made = msgspec.defstruct(
        RecordedEvent.__name__,
        (),
        bases=(RecordedEvent,),
        namespace={**fields, "__doc__": RecordedEvent.__doc__},
        module=RecordedEvent.__module__,
        frozen=True,
        gc=False,
    )
    return cast("type[RecordedEvent]", made)


def _recorded(
    stored: StoredEvent,
    type: str,
    message: EventMessage,
    *upcast: Any,
) -> RecordedEvent:
    """Make a pickled event again; its own type cannot be named."""
    return recorded_type(message.__class__)(stored, type, message, *upcast)


@lru_cache(maxsize=1024)
def _decoded_metadata(metadata: bytes) -> dict[str, Any]:
    # Events of one request share their metadata, so this is nearly always a hit.
    return frozen(_object.decode(metadata), ordered=True)  # type: ignore[no-any-return]


def decode_metadata(metadata: bytes) -> dict[str, Any]:
    """Return metadata as a dict of the caller's own; lists and dicts inside it are frozen."""
    return dict(_decoded_metadata(metadata))


_object = msgspec.json.Decoder(dict[str, Any])

RESERVED_EVENT_FIELDS = frozenset(
    name for name in dir(RecordedEvent) if not name.startswith(("_", "upcast_"))
)
