"""Whose mistake an `InvalidMessage` is that comes up while a command decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import InvalidMessage
from .frozen import frozen_fields
from .messages import CommandMessage

_CONTAINERS = (list, tuple, set, frozenset, Mapping)


def field_that_sent(error: InvalidMessage, command: CommandMessage) -> str | None:
    """Return the field of a command whose value was refused; ``None``: the domain's code has made it.

    A command hands on what it was sent: to the key of an aggregate that it reads, or to an event with
    narrower types. What is refused there is the sender's mistake if it is, or has in it, a value of his.

    Args:
        error: what was raised while the command was decided on.
        command: the message.
    """
    if error.message_type == command.definition.name:
        return error.field
    refused = list(_parts(_refused(error, command)))
    of_containers = {id(one) for one in refused if isinstance(one, _CONTAINERS)}
    scalars = {one for one in map(_scalar, refused) if one is not None}
    for field in command.__struct_fields__:
        for part in _parts(getattr(command, field)):
            if id(part) in of_containers or _scalar(part) in scalars:
                return field
    return None


def _refused(error: InvalidMessage, command: CommandMessage) -> list[Any]:
    field = error.field.replace("[", ".").partition(".")[0]
    if field in error.given:
        return [error.given[field]]
    owner = command.definition.aggregate
    is_own_event = error.message_type in (one.name for one in owner.event_types())
    # Its keys are in each of its events, whoever has made the rest.
    left_out = command.definition.keys if is_own_event else ()
    return [value for name, value in error.given.items() if name not in left_out]


def _parts(value: Any) -> Iterator[Any]:
    """Yield a value, and all that is in it."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, _CONTAINERS):
            waiting += one
        else:
            waiting += [getattr(one, name) for name in frozen_fields(type(one)) or ()]


def _scalar(value: Any) -> tuple[type, Any] | None:
    """Return what two equal values have in common; ``None``: too common to say where it comes from."""
    if value is None or isinstance(value, (bool, *_CONTAINERS)):
        return None
    try:
        hash(value)
    except TypeError:
        return None
    return type(value), value
