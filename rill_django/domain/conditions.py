"""Preconditions and postconditions beyond types: ``@require`` and ``@ensure``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from .errors import DefinitionError, InvalidMessage, PostconditionFailed

T = TypeVar("T", bound=Callable[..., Any])


class Condition(NamedTuple):
    """A predicate over the aggregate and a message's fields, and what it asks for, in words."""

    predicate: Callable[..., bool]
    demand: str
    field: str = ""


class Conditions(NamedTuple):
    """All conditions of one method."""

    required: tuple[Condition, ...] = ()
    ensured: tuple[Condition, ...] = ()


def require(predicate: Callable[..., bool], demand: str, *, field: str = "") -> Callable[[T], T]:
    """Ask for something before an event or command, or of an aggregate's key properties.

    Written below ``@event`` or ``@command``, the predicate gets the aggregate and the message's fields;
    written above an aggregate class, it gets the aggregate with its keys::

        @require(lambda self: self.origin != self.destination, "origin and destination must differ")
        class Route(Aggregate): ...

    When it does not hold, `InvalidMessage` is raised with ``demand`` as its reason and ``field`` as
    its field.
    """
    return _condition("required", Condition(predicate, demand, field))


def ensure(predicate: Callable[..., bool], demand: str) -> Callable[[T], T]:
    """Ask for something after an event, or after a command that was not rejected.

    The predicate gets the new aggregate and the message's fields. When it does not hold,
    `PostconditionFailed` is raised: the domain's code has a bug.
    """
    return _condition("ensured", Condition(predicate, demand))


def _condition(kind: str, condition: Condition) -> Callable[[T], T]:
    def attach(target: T) -> T:
        if isinstance(target, type) and kind == "required" and hasattr(target, "add_key_condition"):
            target.add_key_condition(condition)
            return target
        if not hasattr(target, "__code__"):
            raise DefinitionError(
                f"@{kind[:-1]} stands on {target!r}. Write it below @event or @command, directly "
                "above the method, or (@require only) above an aggregate class."
            )
        before = conditions_of(target)
        after = before._replace(**{kind: (condition, *getattr(before, kind))})
        target.__rill_conditions__ = after  # type: ignore[attr-defined]
        return target

    return attach


def conditions_of(function: Callable[..., Any]) -> Conditions:
    """Return the conditions attached to a method."""
    found: Conditions = getattr(function, "__rill_conditions__", Conditions())
    return found


def refuse_other_arguments(conditions: Conditions, fields: Sequence[str], where: str) -> None:
    """Raise `DefinitionError` for conditions that cannot be called with an aggregate and all fields."""
    for condition in (*conditions.required, *conditions.ensured):
        try:
            signature = inspect.signature(condition.predicate)
        except ValueError:  # Of C.
            continue
        try:
            signature.bind(None, *fields)
        except TypeError:
            wanted = ", ".join(("self", *fields))
            raise DefinitionError(
                f"{where}: the condition {condition.demand!r} takes {signature}, and is given the aggregate "
                f"and every field. Write: lambda {wanted}: …"
            ) from None


def check_preconditions(
    required: Sequence[Condition],
    name: str,
    aggregate: Any,
    arguments: Sequence[Any],
    names: Sequence[str],
) -> None:
    """Raise `InvalidMessage` for the first condition that does not hold.

    Args:
        names: of the fields that the arguments are.
    """
    for condition in required:
        if not condition.predicate(aggregate, *arguments):
            given = dict(zip(names, arguments))  # noqa: B905 - same length
            raise InvalidMessage(name, condition.field, condition.demand, given)


def check_postconditions(
    ensured: Sequence[Condition], name: str, aggregate: Any, arguments: Sequence[Any]
) -> None:
    """Raise `PostconditionFailed` for the first condition that does not hold."""
    for condition in ensured:
        if not condition.predicate(aggregate, *arguments):
            raise PostconditionFailed(f"{name}: {condition.demand}; it led to {aggregate!r}")
