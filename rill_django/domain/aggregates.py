"""Aggregates: frozen values that decide, and are made anew by every event."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast

import msgspec
from msgspec.structs import replace
from typing_extensions import Self, dataclass_transform

from .aggregate_type import AggregateMeta
from .deciding import note_rejection, outside
from .definitions import EventType
from .errors import Misuse
from .frozen import frozen
from .keys import key
from .left_out import refuse_left_out
from .messages import EventMessage
from .misuse import Hint, wrong_changes
from .results import Rejected
from .runtime import current
from .signatures import EvolveMethod, FetchMethod
from .state import BOOKKEEPING
from .streams import stream_name
from .tracebacks import shorten

A = TypeVar("A", bound="Aggregate")
K = ParamSpec("K")


# On the class, not its metaclass: type checkers would take what msgspec.Struct says of itself first.
@dataclass_transform(frozen_default=True, field_specifiers=(key, msgspec.field))
class Aggregate(msgspec.Struct, metaclass=AggregateMeta, frozen=True, kw_only=True):
    """Base class of all aggregates.

    An aggregate is the reduction of its stream to what is needed to decide about the next events. It
    is frozen: events make new ones by `evolve`, so a rejected command has changed nothing and the same
    value may be handed to all threads.

    Attributes:
        ignores: names of event types in its streams that no code knows, and that are passed over; without
            a dot, they are the last part.

    Source: Rill/Wheel's ``defaggregate``.
    """

    ignores: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # Nobody gives them to a constructor or to `evolve`.
        _version: ClassVar[int]
        _new_events: ClassVar[tuple[EventMessage, ...]]
        _unknown_events: ClassVar[tuple[str, ...]]
        _evolved: ClassVar[bool]

        get: ClassVar[FetchMethod]
        evolve: ClassVar[EvolveMethod]

        # Of any aggregate type; those of each are made from its fields.
        def __init__(self, *keys: Any, **named_keys: Any) -> None: ...
        def __replace__(self, **changes: Any) -> Self: ...
    else:
        _version: int = -1
        _new_events: tuple[EventMessage, ...] = ()
        _unknown_events: tuple[str, ...] = ()
        _evolved: bool = False
        """Whether it has been changed other than by an event, so that its stream says something else."""

    if not TYPE_CHECKING:
        # What people look for at first. A field or method of a subclass may have these names.
        transact = Hint("A command is what is carried out: {name}.<command>.transact(…).")
        commit = Hint("Write: commit(aggregate); or at once {name}.<command>.transact(…).")
        save = Hint(
            "Only events are stored. Write: commit(aggregate), or {name}.<command>.transact(…)."
        )
        objects = Hint(
            "Aggregates are reached by their key: {name}.get(…). For queries, have a projection keep a model."
        )

    @property
    def stream(self) -> str:
        """Canonical name of the aggregate's stream, e.g. ``bank.Account/12345678``."""
        cls = type(self)
        return stream_name(cls.type_name, cls._keys_of(self))

    @property
    def version(self) -> int:
        """Version of the last stored event that is applied here; -1 when there is none."""
        return self._version

    @property
    def new_events(self) -> tuple[EventMessage, ...]:
        """Events applied here that are not stored yet."""
        return self._new_events

    @property
    def unknown_events(self) -> tuple[str, ...]:
        """Type names of stored events that are left out here, since no code knows them. Should be empty.

        Nothing is decided upon the aggregate as long as there are any. Those in `ignores` do not count.
        """
        return self._unknown_events

    @property
    def uncommitted(self) -> bool:
        """Whether there are events that are not stored yet."""
        return bool(self._new_events)

    @property
    def is_new(self) -> bool:
        """Whether nothing is stored about it, as far as is known here."""
        return self._version < 0

    @property
    def exists(self) -> bool:
        """Whether anything has happened to it, stored or not."""
        return self._version >= 0 or bool(self._new_events)

    def emptied(self) -> Self:
        """Return the aggregate as it is before its first event: its key properties only."""
        return cast("Self", type(self).empty(self))

    if not TYPE_CHECKING:  # A type checker takes the arguments from the fields; see `signatures`.

        @classmethod
        def get(cls, *keys, **named_keys):
            """Fetch by key. A stream with no events gives the empty aggregate.

            Raises:
                InvalidMessage: a key has the wrong type.
            """
            __tracebackhide__ = True
            try:
                empty = cls(*keys, **named_keys)
                with outside():
                    return current().update(empty)
            except Exception as error:
                shorten(error)
                raise

        def evolve(self, **changes):
            """Return a copy with these fields changed; used by event methods, and to try something out.

            Raises:
                TypeError: a field does not exist, or is a key property.
            """
            cls = type(self)
            if not cls._changeable.issuperset(changes):
                raise wrong_changes(cls, changes)
            return replace(self, _evolved=True, **changes)

        __replace__ = evolve  # For copy.replace, from Python 3.13 on.

    def reject(self, reason: str, /, **data: Any) -> Rejected:
        """Return a rejection with a stable reason and arbitrary data; used by command methods."""
        note_rejection(reason)
        return Rejected(reason, frozen(data), self)

    def read(self, other: Callable[K, A], /, *keys: K.args, **named_keys: K.kwargs) -> A:
        """Fetch another aggregate by key, inside a command. What comes back may be stale.

        Raises:
            UnknownEvents: its stream holds events that no code knows.
        """
        if not isinstance(other, AggregateMeta):
            raise Misuse(
                f"self.read takes the aggregate type, and then the key, got {other!r}. Write: "
                "self.read(Account, '1')."
            )
        aggregate: A = cast("type[A]", other).get(*keys, **named_keys)
        if aggregate._unknown_events:
            refuse_left_out(aggregate)
        return aggregate

    def apply(self, *messages: EventMessage) -> Self:
        """Return the aggregate with event messages applied as new, uncommitted events.

        Raises:
            TypeError: a message is no event, or belongs to another aggregate.
        """
        __tracebackhide__ = True
        aggregate = self
        for message in messages:
            definition = getattr(message, "definition", None)
            if (
                not isinstance(definition, EventType)
                or definition.aggregate.empty(message).stream != self.stream
            ):
                raise Misuse(
                    f"{message!r} is not an event of {self.stream}. apply takes messages, as "
                    f"{type(self).__name__}.<event>.message(…) makes them; self.<event>(…) is applied "
                    "already."
                )
            try:
                aggregate = definition.apply_new(aggregate, definition.checked(message))
            except Exception as error:
                shorten(error)
                raise
        return aggregate

    def __reduce__(self) -> Any:
        # The class takes key properties only, so it cannot be called with all fields.
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return AggregateMeta.restored, (type(self), values)

    def __repr__(self) -> str:
        cls = type(self)
        keys = ", ".join(repr(getattr(self, name)) for name in cls.key_names())
        state = "".join(
            f", {name}={getattr(self, name)!r}"
            for name in cls.__struct_fields__
            if name not in cls.key_names() and name not in BOOKKEEPING
        )
        pending = f", uncommitted={len(self._new_events)}" if self._new_events else ""
        return f"{cls.__name__}({keys}{state}, version={self._version}{pending})"
