"""What there is: aggregate, event and command types by name, and upcasters in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import DefinitionError, UnknownMessageType
from .places import place_of

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .definitions import CommandType, EventType
    from .message_types import MessageType
    from .upcasting import RegisteredUpcaster


class Registry:
    """Types by name. A name may be taken once only.

    Attributes:
        aggregates, events, commands: by full name.
        upcasters: in the order in which they are applied.
    """

    def __init__(self) -> None:
        self.aggregates: dict[str, type[Aggregate]] = {}
        self.events: dict[str, EventType[Any, ...]] = {}
        self.commands: dict[str, CommandType[Any, ...]] = {}
        self.upcasters: list[RegisteredUpcaster] = []
        self._upcasted_types: set[str] = set()
        self._upcasts_every_type = False

    def add(self, aggregate: type[Aggregate], name: str) -> None:
        """Register an aggregate type with its events and commands, all or none of them.

        Raises:
            DefinitionError: a name is taken.
        """
        _refuse_taken(self.aggregates, name, aggregate)
        own: dict[str, MessageType] = {}
        every: list[MessageType] = [*aggregate.event_types(), *aggregate.command_types()]
        for definition in every:
            _refuse_taken(self.events, definition.name, definition)
            _refuse_taken(self.commands, definition.name, definition)
            if own.setdefault(definition.name, definition) is not definition:
                raise _taken(definition.name, own[definition.name], definition)
        self.aggregates[name] = aggregate
        self.events.update((one.name, one) for one in aggregate.event_types())
        self.commands.update((one.name, one) for one in aggregate.command_types())

    def add_upcaster(self, upcaster: RegisteredUpcaster) -> None:
        """Append an upcaster; without types it sees every event."""
        self.upcasters.append(upcaster)
        self._upcasted_types.update(upcaster.types)
        self._upcasts_every_type = self._upcasts_every_type or not upcaster.types

    def has_upcasters_for(self, type: str) -> bool:
        """Whether a stored event of this type has to go through the upcasters."""
        return self._upcasts_every_type or type in self._upcasted_types

    def ignored_types(self) -> frozenset[str]:
        """Return the names of event types that any aggregate type passes over."""
        return frozenset(
            name for aggregate in self.aggregates.values() for name in aggregate.ignored_types()
        )

    def command(self, name: str) -> CommandType[Any, ...]:
        """Return the command type of that name.

        Raises:
            UnknownMessageType: there is none.
        """
        try:
            return self.commands[name]
        except KeyError:
            raise UnknownMessageType(f"There is no command type {name!r}.") from None


def _refuse_taken(taken: dict[str, Any], name: str, new: type[Aggregate] | MessageType) -> None:
    old = taken.get(name)
    # A notebook runs its cells again; a module does not define a class twice on purpose.
    if old is None or _module(old) == _module(new) == "__main__":
        return
    raise _taken(name, old, new)


def _taken(name: str, old: Any, new: Any) -> DefinitionError:
    functions: list[Any] = [getattr(one, "function", None) for one in (new, old)]
    places = "" if None in functions else " ({} and {})".format(*map(place_of, functions))
    return DefinitionError(
        f"{_place(new)}: the type name {name!r} is already used by {_place(old)}{places}. "
        "Rename one of them, or give one a name of its own: "
        "class …(Aggregate, name='…') or @event(name='…')."
    )


def _module(of: Any) -> str:
    return str(getattr(of, "aggregate", of).__module__)


def _place(of: Any) -> str:
    aggregate = getattr(of, "aggregate", None)
    if aggregate is None:
        return f"{of.__module__}.{of.__qualname__}"
    return f"{aggregate.__module__}.{aggregate.__qualname__}.{of.short_name}"


_default = Registry()
_current: ContextVar[Registry] = ContextVar("rill_registry", default=_default)


def current_registry() -> Registry:
    """Return the registry that definitions go to and events are decoded by."""
    return _current.get()


@contextmanager
def isolated_registry() -> Iterator[Registry]:
    """Use an empty registry inside the ``with`` block: for tests that define types of their own."""
    token = _current.set(Registry())
    try:
        yield _current.get()
    finally:
        _current.reset(token)
