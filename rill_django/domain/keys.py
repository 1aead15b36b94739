"""Key properties: the fixed part of an aggregate, which its stream is named after."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import Enum
from typing import Annotated, Any, NamedTuple, get_args, get_origin
from uuid import UUID

from .conditions import Condition
from .errors import DefinitionError
from .parameters import Parameter, resolve


class Key(NamedTuple):
    """What `key` leaves in a class body."""

    require: Callable[[Any], bool] | None
    demand: str


def key(*, require: Callable[[Any], bool] | None = None, demand: str = "is not acceptable") -> Any:
    """Declare a key property: ``number: str = key()``. Its type is str, int, UUID, date or an Enum.

    Args:
        require: predicate that the value must fulfil; `InvalidMessage` otherwise.
        demand: what the predicate asks for, in words, e.g. ``"must have 8 digits"``.
    """
    return Key(require, demand)


def key_parameters(
    aggregate: type, keys: Mapping[str, Key], where: str
) -> Iterator[tuple[Parameter, Condition | None]]:
    """Yield each key property's name and type, with the condition that it sets.

    Raises:
        DefinitionError: no type, or one that cannot be part of a stream's name.
    """
    annotations = own_annotations(aggregate)
    module = sys.modules.get(aggregate.__module__)
    namespace = {} if module is None else vars(module)
    for name, specification in keys.items():
        if name not in annotations:
            raise DefinitionError(f"{where}: key {name!r} has no type. Write {name}: str = key()")
        kind = resolve(annotations[name], namespace, aggregate, f"{where}: key {name!r}")
        plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        plain = getattr(plain, "__supertype__", plain)  # of a NewType
        if plain not in (str, int, UUID, date) and not (
            isinstance(plain, type) and issubclass(plain, Enum)
        ):
            raise DefinitionError(
                f"{where}: key {name!r} has an unsupported type, {plain!r}. "
                "A key property is a str, int, UUID, date or an Enum."
            )
        condition = None
        if specification.require is not None:
            condition = _condition(name, specification.require, specification.demand)
        yield Parameter(name, kind), condition


def _condition(name: str, require: Callable[[Any], bool], demand: str) -> Condition:
    return Condition(lambda aggregate: require(getattr(aggregate, name)), demand, name)


def own_annotations(cls: type) -> dict[str, Any]:
    """Return the annotations written in the class itself, unevaluated where that cannot be done yet."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(cls, format=Format.FORWARDREF)
    return inspect.get_annotations(cls)
