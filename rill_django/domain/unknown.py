"""What today's code does not know of stored events, and nobody has said to pass over."""

from __future__ import annotations

from enum import Enum

from .left_out import is_passed_over
from .records import RecordedEvent, UnknownEvent
from .registry import Registry


class Unknown(Enum):
    """What today's code does not know of an event."""

    AGGREGATE = "aggregate"
    TYPE = "type"


def unknown_of(
    category: str, stored_type: str, type: str, is_known: bool, registry: Registry
) -> Unknown | None:
    """Return what today's code does not know of an event, unless somebody has said to pass over it.

    Args:
        category: aggregate type of its stream.
        stored_type: type name it is stored under.
        type: type name after upcasting.
        is_known: whether there is an event type of that name.
    """
    aggregate = registry.aggregates.get(category)
    if aggregate is not None and is_known:
        return None
    ignored = registry.ignored_types() if aggregate is None else aggregate.ignored_types()
    if type in ignored or stored_type in ignored:
        return None
    if is_passed_over(category, type) or is_passed_over(category, stored_type):
        return None
    return Unknown.AGGREGATE if aggregate is None else Unknown.TYPE


def unknown_of_event(event: RecordedEvent, category: str, registry: Registry) -> Unknown | None:
    """Return what today's code does not know of a decoded event."""
    is_known = not isinstance(event.message, UnknownEvent)
    return unknown_of(category, event.stored.type, event.type, is_known, registry)
