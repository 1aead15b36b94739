"""What became of a command: `Ok`, `Rejected` or `Conflict`. Values, made for ``match``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, Union

import msgspec

from .errors import ConflictError, RejectedError

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .records import RecordedEvent

A = TypeVar("A", bound="Aggregate")


class Ok(msgspec.Struct, Generic[A], frozen=True):
    """The command was accepted and its events are stored.

    Attributes:
        aggregate: the aggregate after the events, with nothing uncommitted.
        events: the stored events, numbered with their versions; empty when nothing had to change.
    """

    aggregate: A
    events: tuple[RecordedEvent, ...] = ()

    def unwrap(self) -> A:
        """Return the aggregate."""
        return self.aggregate


class Rejected(msgspec.Struct, frozen=True):
    """The domain's own refusal. Nothing was stored.

    Attributes:
        reason: a short stable code, e.g. ``insufficient-funds``.
        data: whatever the domain wants to tell with it.
        aggregate: the aggregate that refused, as it was before the command.
    """

    reason: str
    data: Mapping[str, Any]
    aggregate: Aggregate

    __match_args__ = ("reason", "data")

    def unwrap(self) -> NoReturn:
        """Raise `RejectedError`."""
        raise RejectedError(self)


class Conflict(msgspec.Struct, frozen=True):
    """Somebody else committed to the same stream first. Nothing was stored.

    Attributes:
        stream: the stream's name.
        expected_version: version that the events were decided on (-1: the empty stream).
        actual_version: version that the stream has now.
    """

    stream: str
    expected_version: int
    actual_version: int

    def unwrap(self) -> NoReturn:
        """Raise `ConflictError`."""
        raise ConflictError(self)


Result = Union[Ok[A], Rejected, Conflict]
