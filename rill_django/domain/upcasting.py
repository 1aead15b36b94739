"""Old events in the form that today's code wants, made while they are read. The log itself never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from .errors import DefinitionError
from .registry import current_registry

Upcaster = Callable[["RawEvent"], "RawEvent | Sequence[RawEvent] | None"]
F = TypeVar("F", bound=Upcaster)


class RawEvent(msgspec.Struct, frozen=True):
    """An event on its way through the upcasters: plain JSON values under a type name.

    Attributes:
        type: the type name, as stored or as an earlier upcaster left it.
        data: the payload as plain JSON values.
        metadata: who, why and the like.
        stream, version: where the event is stored; an upcaster cannot change them.
    """

    type: str
    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    stream: str
    version: int

    def renamed(self, type: str) -> RawEvent:
        """Return the event under another type name."""
        return msgspec.structs.replace(self, type=type)

    def with_data(self, **fields: Any) -> RawEvent:
        """Return the event with these fields added or replaced."""
        return msgspec.structs.replace(self, data={**self.data, **fields})

    def without(self, *fields: str) -> RawEvent:
        """Return the event without these fields."""
        kept = {name: value for name, value in self.data.items() if name not in fields}
        return msgspec.structs.replace(self, data=kept)


class RegisteredUpcaster(NamedTuple):
    """An upcaster and the type names it is for; none: it sees every event."""

    function: Upcaster
    types: frozenset[str]


def apply_upcasters(event: RawEvent, upcasters: Iterable[RegisteredUpcaster]) -> list[RawEvent]:
    """Apply the upcasters left to right; each sees what those before it made.

    Source: Rill/Wheel's ``wrap-upcasts``.
    """
    events = [event]
    for upcaster in upcasters:
        passed: list[RawEvent] = []
        for one in events:
            if upcaster.types and one.type not in upcaster.types:
                passed.append(one)
                continue
            made = upcaster.function(one)
            if isinstance(made, RawEvent):
                passed.append(made)
            elif made is not None:
                passed.extend(made)
        events = passed
    return events


def upcast(*types: str) -> Callable[[F], F]:
    """Register a function as an upcaster for events stored under these type names.

    The function takes a `RawEvent` and returns one, several, or ``None`` to drop the event.
    Upcasters run in the order in which they are defined, each on what those before it made; without
    types, an upcaster sees every event::

        @upcast("bank.Account.opened")
        def name_was_called_holder(event: RawEvent) -> RawEvent:
            return event.with_data(owner=event.data["holder"]).without("holder")

    Raises:
        DefinitionError: used without parentheses.
    """
    if any(not isinstance(one, str) for one in types):
        raise DefinitionError(
            "@upcast takes the stored type names as texts: @upcast('bank.Account.opened'), "
            "or @upcast() for every event."
        )

    def register(function: F) -> F:
        current_registry().add_upcaster(RegisteredUpcaster(function, frozenset(types)))
        return function

    return register
