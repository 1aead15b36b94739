"""Events on their way into the log and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .messages import EventMessage


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


class StoredEvent(msgspec.Struct, frozen=True):
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


class UnknownEvent(EventMessage, frozen=True):
    """Stands for an event whose type today's code does not know.

    Attributes:
        data: the payload, as plain JSON values.
    """

    data: Mapping[str, Any]


class RecordedEvent(msgspec.Struct, frozen=True):
    """A stored event, decoded: what projections, triggers and `Ok` hand out.

    The fields of the event's own payload can be read straight from it: ``event.amount`` is
    ``event.message.amount``. That is why an event's parameters must not have the names below.

    Attributes:
        stream, version, position, recorded_at: as in `StoredEvent`.
        type: full type name by today's code (after upcasting).
        message: the typed payload, or an `UnknownEvent`.
        metadata: who, why and the like.
    """

    stream: str
    version: int
    position: int | None
    type: str
    message: EventMessage
    metadata: Mapping[str, Any]
    recorded_at: datetime

    @property
    def identity(self) -> str:
        """Name of the event for the outside world: ``stream@version``."""
        return f"{self.stream}@{self.version}"

    @property
    def occurred_at(self) -> datetime:
        """When it happened: the metadata's ``occurred_at`` for imported history, else `recorded_at`."""
        given = self.metadata.get("occurred_at")
        return self.recorded_at if given is None else msgspec.convert(given, datetime)

    def __getattr__(self, name: str) -> Any:
        # Only called for names that this class does not have itself.
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(self.message, name)
        except AttributeError:
            fields = ", ".join(self.message.__struct_fields__) or "no fields"
            raise AttributeError(f"event {self.type} has no {name!r}; it has {fields}") from None


RESERVED_EVENT_FIELDS = frozenset((*RecordedEvent.__struct_fields__, "identity", "occurred_at"))
