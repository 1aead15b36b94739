"""What became of a command: `Ok`, `Rejected` or `Conflict`. Values, made for ``match``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, Union

import msgspec

from .errors import ConflictError, RejectedError

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .records import RecordedEvent

A = TypeVar("A", bound="Aggregate")

_set = object.__setattr__


class Later(Generic[A]):
    """An aggregate that is made when somebody asks for it, since that may take reading a whole stream.

    Args:
        stream: name of its stream.
        version: its version.
        make: makes it.
    """

    __slots__ = ("_made", "_make", "stream", "version")

    def __init__(self, stream: str, version: int, make: Callable[[], A]) -> None:
        self.stream = stream
        self.version = version
        self._make = make
        self._made: A | None = None

    def made(self) -> A:
        """Return it, the same each time."""
        if self._made is None:
            self._made = self._make()
        return self._made


def _refuse_truth(result: object) -> TypeError:
    # A rejection would be true like any other value: the mistake is seen only once something is refused.
    return TypeError(
        f"{type(result).__name__} is neither true nor false, as no result is. Look at it with match: case "
        "Ok(aggregate=…), case Rejected(reason=…), case Conflict(); ask isinstance(result, Ok); or take "
        "result.unwrap(), which gives the aggregate and raises for the others."
    )


def _no_attribute(result: object, name: str) -> AttributeError:
    kind = type(result).__name__
    if kind == "Ok":
        cure = f"What is of the aggregate: result.aggregate.{name}."
    else:
        cure = (
            "The command was not carried out. Look at the result with match, or take result.unwrap(), which "
            "gives the aggregate of an Ok and raises otherwise."
        )
    return AttributeError(
        f"{kind!r} object has no attribute {name!r}. {cure}", name=name, obj=result
    )


class _NoPlainValue:
    """Says what to write to whoever takes a result for something else."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise _refuse_truth(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Say of what there is not where it is."""
            found = getattr(type(self), name, None)
            if isinstance(found, property):  # It has raised an AttributeError of its own.
                return found.fget(self)
            raise _no_attribute(self, name)


class _Answered(_NoPlainValue, Generic[A]):
    """A frozen value with an aggregate."""

    __slots__ = ("_aggregate", "is_repetition")
    __match_args__: tuple[str, ...] = ()

    _aggregate: A | Later[A]
    is_repetition: bool

    @property
    def aggregate(self) -> A:
        """See the class."""
        found = self._aggregate
        return found.made() if isinstance(found, Later) else found

    @property
    def stream(self) -> str:
        """Name of the aggregate's stream."""
        return self._aggregate.stream

    @property
    def version(self) -> int:
        """Version of the aggregate."""
        return self._aggregate.version

    def _values(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"immutable type: {type(self).__name__!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> Any:
        return type(self), (*self._values(), self.is_repetition)


class Ok(_Answered[A]):
    """The command was accepted and its events are stored.

    Attributes:
        aggregate: the aggregate after the events, with nothing uncommitted.
        events: the stored events, numbered with their versions; empty when nothing had to change.
        is_repetition: whether this is the answer that a command with the same idempotency key had before, so
            that nothing was stored now. Makes no difference to ``==``.
    """

    __slots__ = ("events",)
    __match_args__ = ("aggregate", "events")

    events: tuple[RecordedEvent, ...]

    def __init__(
        self,
        aggregate: A | Later[A],
        events: tuple[RecordedEvent, ...] = (),
        is_repetition: bool = False,
    ) -> None:
        _set(self, "_aggregate", aggregate)
        _set(self, "is_repetition", is_repetition)
        _set(self, "events", events)

    def unwrap(self) -> A:
        """Return the aggregate."""
        return self.aggregate

    def _values(self) -> tuple[Any, ...]:
        return self.aggregate, self.events

    def __repr__(self) -> str:
        return f"Ok(aggregate={self.aggregate!r}, events={self.events!r})"


class Rejected(_Answered["Aggregate"]):
    """The domain's own refusal. Nothing was stored.

    Attributes:
        reason: a short stable code, e.g. ``insufficient-funds``.
        data: whatever the domain wants to tell with it.
        aggregate: the aggregate that refused, as it was before the command.
        is_repetition: as for `Ok`.
    """

    __slots__ = ("data", "reason")
    __match_args__ = ("reason", "data")

    reason: str
    data: Mapping[str, Any]

    def __init__(
        self,
        reason: str,
        data: Mapping[str, Any],
        aggregate: Aggregate | Later[Any],
        is_repetition: bool = False,
    ) -> None:
        _set(self, "is_repetition", is_repetition)
        _set(self, "reason", reason)
        _set(self, "data", data)
        _set(self, "_aggregate", aggregate)

    def unwrap(self) -> NoReturn:
        """Raise `RejectedError`."""
        __tracebackhide__ = True
        raise RejectedError(self)

    def _values(self) -> tuple[Any, ...]:
        return self.reason, self.data, self.aggregate

    def __repr__(self) -> str:
        return f"Rejected(reason={self.reason!r}, data={self.data!r}, aggregate={self.aggregate!r})"


class Conflict(_NoPlainValue, msgspec.Struct, frozen=True):
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
        __tracebackhide__ = True
        raise ConflictError(self)


Result = Union[Ok[A], Rejected, Conflict]
