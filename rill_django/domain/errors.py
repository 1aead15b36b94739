"""Every exception that the library raises on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .results import Conflict, Rejected


class RillError(Exception):
    """Base of all errors of this library."""


class DefinitionError(RillError, TypeError):
    """An aggregate, event, command, upcaster or projection is written in a way that cannot work.

    Raised at import, with the class, the member and the cure in its text.
    """


class Misuse(RillError, TypeError):
    """Wrong arguments, or a method of an aggregate that returns what cannot be."""


class InvalidMessage(RillError, ValueError):
    """A message does not have the form that its type asks for.

    This is not a rejection: the domain was never asked. It is the sender's mistake (HTTP 400).

    Attributes:
        message_type: full name of the event, command or aggregate type, e.g. ``bank.Account.opened``.
        field: path of the offending field, e.g. ``address.lines[0]``; empty for the whole message.
        reason: what was wrong and what was expected.
        given: the values, by field, that were refused, as far as they are known; not pickled.
    """

    def __init__(
        self,
        message_type: str,
        field: str,
        reason: str,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.message_type = message_type
        self.field = field
        self.reason = reason
        self.given: Mapping[str, Any] = {} if given is None else given
        where = f"{message_type}, field {field!r}" if field else message_type
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> Any:
        return type(self), (self.message_type, self.field, self.reason)


class PostconditionFailed(RillError, AssertionError):
    """An event led to a state that its own ``@ensure`` forbids: a bug in the domain's code."""


class UnknownMessageType(RillError, LookupError):
    """No aggregate, event or command with that name is registered."""


class UnreadableEvent(RillError, ValueError):
    """A stored event cannot be decoded by today's code; it needs an upcaster or a default.

    Attributes:
        stream: the event's stream.
        version: its version in that stream.
        type: its stored type name.
        reason: why it cannot be read.
        identity: ``stream@version``.
    """

    def __init__(self, stream: str, version: int, type: str, reason: str) -> None:
        self.stream = stream
        self.version = version
        self.type = type
        self.reason = reason
        self.identity = f"{stream}@{version}"
        super().__init__(
            f"{self.identity} is stored as {type!r} and cannot be read by today's code: {reason}. "
            f"Give the new field a default, or write an @upcast({type!r})."
        )

    def __reduce__(self) -> Any:
        return UnreadableEvent, (self.stream, self.version, self.type, self.reason)


class UnknownEvents(RillError):
    """A stream holds events that no code knows, so nothing can be decided upon its aggregate.

    Attributes:
        stream: the stream's name.
        types: names of their types, after upcasting.
    """

    def __init__(self, stream: str, types: tuple[str, ...]) -> None:
        self.stream = stream
        self.types = types
        super().__init__(
            f"{stream} holds events that no code knows: {', '.join(types)}. Nothing is decided upon it, "
            f"since a part of its history would be left out. {cure_of_unknown_type(types[0])}"
        )

    def __reduce__(self) -> Any:
        return type(self), (self.stream, self.types)


def cure_of_unknown_type(type: str) -> str:
    """Return, in words, what to do about events of a type that no code knows."""
    return (
        "If the event was renamed, give it the name that it is stored under, "
        f"@event(name={type!r}), or write an @upcast({type!r}). If it is to be passed over, name it in "
        f"its aggregate, ignores = ({type!r},), or in RILL['UNKNOWN_EVENTS']."
    )


class NoRuntime(RillError, RuntimeError):
    """The domain was asked to fetch or store something, and nothing is there to do it."""


class RejectedError(RillError):
    """Raised by ``Rejected.unwrap()``; ``.rejection`` is the value."""

    def __init__(self, rejection: Rejected) -> None:
        self.rejection = rejection
        details = "".join(f", {name}={value!r}" for name, value in rejection.data.items())
        super().__init__(f"{rejection.stream}: rejected: {rejection.reason}{details}")

    def __reduce__(self) -> Any:
        return type(self), (self.rejection,)


class ConflictError(RillError):
    """Raised by ``Conflict.unwrap()``; ``.conflict`` is the value."""

    def __init__(self, conflict: Conflict) -> None:
        self.conflict = conflict
        super().__init__(
            f"{conflict.stream}: expected version {conflict.expected_version}, "
            f"but the stream is at {conflict.actual_version}"
        )

    def __reduce__(self) -> Any:
        return type(self), (self.conflict,)
