"""The state of an aggregate: frozen, since the same one is handed to everybody."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec.structs import force_setattr

from .fields import reader_of
from .frozen import ATOMS, FROZEN, frozen, is_opaque

if TYPE_CHECKING:
    from .aggregate_type import AggregateMeta
    from .aggregates import Aggregate

A = TypeVar("A", bound="Aggregate")

BOOKKEEPING = ("_version", "_new_events", "_unknown_events", "_evolved")
"""Fields that follow from the events and not from what they say."""

_AS_THEY_ARE = ATOMS | FROZEN
"""Types of fields that every event finds in order, so that looking at them has to be quick."""


def describe_state(
    aggregate: AggregateMeta,
) -> tuple[tuple[str, ...], Callable[[Aggregate], tuple[Any, ...]], bool]:
    """Return the fields that events change, what reads them all, and whether a default has to be frozen."""
    every = msgspec.structs.fields(cast("type[Aggregate]", aggregate))
    fields = [one for one in every if one.name not in aggregate._fixed_fields]
    names = tuple(one.name for one in fields)
    return names, reader_of(names), any(map(_is_loose, fields))


def _is_loose(field: msgspec.structs.FieldInfo) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:
        return True
    default = frozen(field.default)
    return default is not field.default or is_opaque(default)


def freeze_state(aggregate: A) -> A:
    """Freeze the containers in the fields of an aggregate that was just made: nobody else has it yet."""
    for value in type(aggregate)._state_of(aggregate):
        kind = type(value)
        if kind in _AS_THEY_ARE or (kind is tuple and ATOMS.issuperset(map(type, value))):
            continue
        _freeze(aggregate)
        break
    return aggregate


def _freeze(aggregate: Aggregate) -> None:
    for name in type(aggregate)._state_fields:
        before = getattr(aggregate, name)
        after = frozen(before)
        if after is not before:
            force_setattr(aggregate, name, after)


def of_its_own(aggregate: A) -> A:
    """Return an aggregate that shares nothing with this one that could be changed.

    Raises:
        Exception: it holds something that can neither be frozen nor copied.
    """
    return copy.deepcopy(aggregate) if may_change(aggregate) else aggregate


def may_change(aggregate: Aggregate) -> bool:
    """Whether an aggregate holds something that could be changed and cannot be frozen."""
    state = type(aggregate)._state_of(aggregate)
    return not ATOMS.issuperset(map(type, state)) and any(map(is_opaque, state))
