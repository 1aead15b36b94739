"""Stored events that an aggregate does not know: passed over if somebody has named them, refused otherwise.

In Rill/Wheel they leave the aggregate as it is. A renamed event would lose its history in silence then. So an
aggregate tells which it has left out, and nothing is decided upon it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import DefinitionError, UnknownEvents
from .names import refuse_type_name

if TYPE_CHECKING:
    from .aggregates import Aggregate
    from .records import RecordedEvent


def _passes_nothing_over(name: str) -> bool:
    return False


_passed_over: Callable[[str], bool] = _passes_nothing_over


def set_passed_over(passed_over: Callable[[str], bool]) -> None:
    """Say which names of event types, or of aggregate types, are passed over in the whole project."""
    global _passed_over
    _passed_over = passed_over


def is_passed_over(category: str, type: str) -> bool:
    """Whether the project passes over events of a type, in streams of an aggregate type."""
    return _passed_over(type) or _passed_over(category)


def is_left_out(event: RecordedEvent, aggregate: type[Aggregate]) -> bool:
    """Whether an event that is no event of this aggregate type is missed there.

    Not if the class ignores it, nor if an upcaster has made it one of another aggregate on purpose.
    """
    stored = event.stored.type
    if event.type in aggregate.ignored_types() or stored in aggregate.ignored_types():
        return False
    return event.type == stored or not hasattr(event.message, "definition")


def refuse_left_out(aggregate: Aggregate) -> None:
    """Raise `UnknownEvents` if the aggregate has left events out that nobody has said to pass over."""
    category = type(aggregate).type_name
    types = tuple(one for one in aggregate.unknown_events if not is_passed_over(category, one))
    if types:
        raise UnknownEvents(aggregate.stream, types)


def ignored_names(given: Any, where: str) -> tuple[str, ...]:
    """Return what an aggregate class has in ``ignores``.

    Raises:
        DefinitionError: it is no tuple of type names.
    """
    if not isinstance(given, (tuple, list, set, frozenset)) or not all(
        isinstance(one, str) for one in given
    ):
        raise DefinitionError(
            f"{where}: ignores takes the stored names of event types in a tuple, got {given!r}. "
            "Write: ignores = ('bank.Account.touched',)"
        )
    for one in given:
        refuse_type_name(one, where)
    return tuple(given)
