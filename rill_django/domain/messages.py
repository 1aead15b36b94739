"""Base classes of event and command messages: typed, frozen values without behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic

import msgspec
from typing_extensions import TypeVar

if TYPE_CHECKING:
    from .definitions import CommandType, EventType

A_co = TypeVar("A_co", covariant=True, default=Any)


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A value of the form that an event or command type asks for, key properties included."""

    if TYPE_CHECKING:  # Its fields are known when it is made.

        def __getattr__(self, name: str) -> Any: ...

    def to_dict(self) -> dict[str, Any]:
        """Return the message as plain JSON values, the form that ``from_dict`` takes."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __reduce__(self) -> Any:
        # Its class has no name that pickle and deepcopy could find it by.
        definition = getattr(self, "definition", None)
        if definition is None:
            return super().__reduce__()
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restored, (definition.aggregate, definition.short_name, values)


def _restored(aggregate: Any, member: str, values: dict[str, Any]) -> Message:
    message: Message = getattr(aggregate, member).payload.struct(**values)
    return message


def plain_scalar(value: Any) -> Any:
    """Make a plain str or float of a subclass, such as Django's ``SafeString``; for msgspec.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"objects of type {type(value).__qualname__} are not supported")


class EventMessage(Message, frozen=True, kw_only=True):
    """The payload of an event. ``definition`` is the `EventType` it belongs to."""

    if TYPE_CHECKING:  # msgspec would look the annotation up
        definition: ClassVar[EventType[Any, ...]]


if TYPE_CHECKING:

    class CommandMessage(Message, Generic[A_co], frozen=True, kw_only=True):
        """A command as data. ``definition`` is the `CommandType` it belongs to."""

        definition: ClassVar[CommandType[Any, ...]]

else:  # A generic struct would take half as long again to make and to check.

    class CommandMessage(Message, frozen=True, kw_only=True):
        """A command as data. ``definition`` is the `CommandType` it belongs to."""

        def __class_getitem__(cls, aggregate):
            return cls
