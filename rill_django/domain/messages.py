"""Base classes of event and command messages: typed, frozen values without behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from .definitions import CommandType, EventType


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the form that an event or command type asks for, key properties included."""

    def to_dict(self) -> dict[str, Any]:
        """Return the message as plain JSON values, the form that ``from_dict`` takes."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class EventMessage(Message, frozen=True, kw_only=True):
    """The payload of an event. ``definition`` is the `EventType` it belongs to."""

    if TYPE_CHECKING:  # msgspec would look the annotation up
        definition: ClassVar[EventType[Any, ...]]


class CommandMessage(Message, frozen=True, kw_only=True):
    """A command as data. ``definition`` is the `CommandType` it belongs to."""

    if TYPE_CHECKING:
        definition: ClassVar[CommandType[Any, ...]]
