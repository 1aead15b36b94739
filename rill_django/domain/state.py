"""The state of an aggregate: frozen, since the same one is handed to everybody."""

from __future__ import annotations

import copy
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from .frozen import ATOMS, frozen, is_opaque

if TYPE_CHECKING:
    from .aggregate_type import AggregateMeta
    from .aggregates import Aggregate

A = TypeVar("A", bound="Aggregate")

BOOKKEEPING = ("_version", "_new_events", "_unknown_events", "_evolved")
"""Fields that follow from the events and not from what they say."""


def describe_state(
    aggregate: AggregateMeta,
) -> tuple[tuple[str, ...], Callable[[Aggregate], tuple[Any, ...]], bool]:
    """Return the fields that events change, what reads them all, and whether a default has to be frozen."""
    every = msgspec.structs.fields(cast("type[Aggregate]", aggregate))
    fields = [one for one in every if one.name not in aggregate._fixed_fields]
    names = tuple(one.name for one in fields)
    return names, _reader(names), any(map(_is_loose, fields))


def _reader(names: tuple[str, ...]) -> Callable[[Aggregate], tuple[Any, ...]]:
    if not names:
        return lambda aggregate: ()
    read = attrgetter(*names)
    if len(names) == 1:
        return lambda aggregate: (read(aggregate),)
    return read


def _is_loose(field: msgspec.structs.FieldInfo) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:
        return True
    default = frozen(field.default)
    return default is not field.default or is_opaque(default)


def with_frozen_state(aggregate: A) -> A:
    """Return the aggregate with the containers in its fields frozen; itself if there is nothing to do."""
    for value in type(aggregate)._state_of(aggregate):
        if type(value) not in ATOMS:
            return _frozen(aggregate)
    return aggregate  # Nearly always.


def _frozen(aggregate: A) -> A:
    state = type(aggregate)._state_of(aggregate)
    changed = {
        name: after
        for name, before in zip(type(aggregate)._state_fields, state)  # noqa: B905 - same length
        if (after := frozen(before)) is not before
    }
    return msgspec.structs.replace(aggregate, **changed) if changed else aggregate


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
