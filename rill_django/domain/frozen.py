"""Lists, dicts and sets that nobody can change: what payloads and aggregates hold.

Aggregates are kept between commands and handed to all threads, and one event goes to many handlers. A list
in one of them that somebody sorts or empties would be another one for everybody else. So containers become
subclasses of ``list``, ``dict`` and ``set`` that read and compare like those, give plain ones where a new one
is asked for (``[*goods, "fig"]``, ``goods + ["fig"]``, ``{**seats, "1A": "ann"}``, ``goods.copy()``), and
refuse to be changed.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NoReturn, TypeVar, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

T = TypeVar("T")
Leaves = Mapping[type, Callable[[Any], Any]]

ATOMS = frozenset(
    (
        *(type(None), type(...), bool, int, float, complex, str, bytes, range, type),
        *(Decimal, Fraction, UUID, date, datetime, time, timedelta, timezone, ZoneInfo),
    )
)
"""Types whose values never change and hold nothing that could."""

_AS_IT_IS: Leaves = {}
_TEXTS = {str}
_json_of = msgspec.json.Encoder(enc_hook=str).encode


def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
    kind = type(self).__mro__[1].__name__
    raise TypeError(
        f"This {kind} belongs to an event or an aggregate, which never change: others hold the same one. "
        f"Make a new one, e.g. by {kind}(…), and evolve the aggregate by an event."
    )


def _unchangeable(*methods: str) -> Callable[[type[T]], type[T]]:
    def refusing(kind: type[T]) -> type[T]:
        for name in methods:
            setattr(kind, name, _refuse)
        return kind

    return refusing


@_unchangeable(
    *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
    *("__setitem__", "__delitem__"),
)
class FrozenList(list[Any]):
    """A list that cannot be changed."""

    __slots__ = ("_is_opaque",)

    # As those of tuples: a new value under the old name.
    def __iadd__(self, other: Any) -> Any:  # type: ignore[misc]
        return self + list(other)

    def __imul__(self, number: Any) -> Any:  # type: ignore[misc]
        return self * number

    def __reduce_ex__(self, protocol: Any) -> Any:
        return FrozenList, (list(self),)


@_unchangeable("update", "pop", "popitem", "clear", "setdefault", "__setitem__", "__delitem__")
class FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed."""

    __slots__ = ("_is_opaque",)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        return self | dict(other)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return FrozenDict, (dict(self),)


@_unchangeable(
    *("add", "discard", "remove", "pop", "clear", "update"),
    *("difference_update", "intersection_update", "symmetric_difference_update"),
)
class FrozenSet(set[Any]):
    """A set that cannot be changed, and has one order in every process: that of its items' JSON."""

    __slots__ = ("_is_opaque", "_items")
    _items: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(self._items)
        except AttributeError:  # Nobody has asked before.
            self._items = _in_order(super().__iter__())
            return iter(self._items)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        return self | other

    def __iand__(self, other: Any) -> Any:  # type: ignore[misc]
        return self & other

    def __isub__(self, other: Any) -> Any:  # type: ignore[misc]
        return self - other

    def __ixor__(self, other: Any) -> Any:  # type: ignore[misc]
        return self ^ other

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}" if self else "set()"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return FrozenSet, (list(self),)


class OrderedFrozenSet(frozenset[Any]):
    """A frozenset that has one order in every process: that of its items' JSON."""

    __slots__ = ("_is_opaque", "_items")
    _items: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(self._items)
        except AttributeError:
            self._items = _in_order(super().__iter__())
            return iter(self._items)

    def __repr__(self) -> str:
        return f"frozenset({{{', '.join(map(repr, self))}}})" if self else "frozenset()"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return OrderedFrozenSet, (list(self),)


def _in_order(items: Iterable[Any]) -> tuple[Any, ...]:
    items = tuple(items)
    try:
        return tuple(sorted(items, key=_json_of))
    except (TypeError, ValueError):  # No JSON: in no message.
        return items


def frozen(value: Any, leaves: Leaves = _AS_IT_IS, *, ordered: bool = False) -> Any:
    """Return a value with all containers in it frozen; the value itself if there is nothing to do.

    What is neither a container nor known to be unchangeable stays as it is; see `is_opaque`.

    Args:
        value: any value.
        leaves: what to do with values of these types.
        ordered: bring dicts into the order that all databases keep, and sets into one order.

    Raises:
        ValueError: two keys of a dict are one in JSON; whatever a function in ``leaves`` raises.
    """
    kind = type(value)
    leaf = leaves.get(kind)
    if leaf is not None:
        return leaf(value)
    if kind in ATOMS or (kind in FROZEN and not leaves):
        return value
    freeze = _CONTAINERS.get(kind)
    if freeze is not None:
        return freeze(value, leaves, ordered)
    if isinstance(value, Enum):
        return value
    if isinstance(value, tuple) and hasattr(kind, "_make"):
        return kind._make([frozen(one, leaves, ordered=ordered) for one in value])
    names = _fields(kind)
    return value if names is None else _with_frozen_fields(value, names, leaves, ordered)


def is_opaque(value: Any) -> bool:
    """Whether something in a frozen value may change, since nobody knows how to freeze it."""
    kind = type(value)
    if kind in ATOMS or isinstance(value, Enum):
        return False
    if kind in FROZEN:
        try:
            return bool(value._is_opaque)
        except AttributeError:  # Nobody has asked before.
            value._is_opaque = _any_opaque(
                (*value, *value.values()) if kind is FrozenDict else value
            )
            return bool(value._is_opaque)
    if isinstance(value, (tuple, frozenset)):
        return _any_opaque(value)
    names = _fields(kind)
    return names is None or any(is_opaque(getattr(value, name, None)) for name in names)


def _any_opaque(values: Iterable[Any]) -> bool:
    return not ATOMS.issuperset(map(type, values)) and any(map(is_opaque, values))


def _each(values: list[Any], leaves: Leaves, ordered: bool) -> list[Any]:
    """Return the values frozen, with little to do where all of them are of one kind."""
    kinds = set(map(type, values))
    if not leaves and kinds <= ATOMS:
        return values
    if kinds == _TEXTS and str in leaves:
        leaves[str]("".join(values))
        return values
    of_kind = leaves.get
    return [
        leaf(one)
        if (leaf := of_kind(type(one))) is not None
        else frozen(one, leaves, ordered=ordered)
        for one in values
    ]


def _list(value: list[Any], leaves: Leaves, ordered: bool) -> FrozenList:
    return FrozenList(_each(value, leaves, ordered))


def _tuple(value: tuple[Any, ...], leaves: Leaves, ordered: bool) -> tuple[Any, ...]:
    if not leaves and ATOMS.issuperset(map(type, value)):
        return value
    return tuple(_each(list(value), leaves, ordered))


def _set(value: set[Any], leaves: Leaves, ordered: bool) -> FrozenSet:
    return FrozenSet(_each(list(value), leaves, ordered))


def _frozenset(value: frozenset[Any], leaves: Leaves, ordered: bool) -> frozenset[Any]:
    if not value:
        return value
    return OrderedFrozenSet(_each(list(value), leaves, ordered))


def _dict(value: dict[Any, Any], leaves: Leaves, ordered: bool) -> FrozenDict:
    names = _each(list(value), leaves, ordered)
    made = FrozenDict(zip(names, _each(list(value.values()), leaves, ordered)))  # noqa: B905 - same length
    if not ordered or len(names) < 2:
        return made
    if len(made) < len(names):  # As of two times in the hour that comes twice.
        raise ValueError("two keys of an object are the same in JSON")
    in_order = _in_stored_order(names)
    return made if in_order == names else FrozenDict([(name, made[name]) for name in in_order])


def _in_stored_order(names: list[Any]) -> list[Any]:
    """Return the keys of an object as jsonb and MySQL order them, so that every database gives the same."""
    if set(map(type, names)) == _TEXTS and "".join(names).isascii():
        return sorted(sorted(names), key=len)
    by_text = {_key_text(name): name for name in names}
    if len(by_text) < len(names):
        raise ValueError("two keys of an object are the same in JSON")
    return [by_text[text] for text in sorted(sorted(by_text), key=len)]


def _key_text(key: Any) -> bytes:
    if type(key) is str:
        return key.encode(errors="surrogatepass")
    return bytes(_json_of(key)).strip(b'"')


_CONTAINERS: dict[type, Callable[[Any, Leaves, bool], Any]] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _frozenset,
    FrozenList: _list,
    FrozenDict: _dict,
    FrozenSet: _set,
    OrderedFrozenSet: _frozenset,
}
FROZEN = frozenset((FrozenList, FrozenDict, FrozenSet, OrderedFrozenSet))
"""Types of containers that are frozen, and so is what they hold."""

_fields_of: dict[type, tuple[str, ...] | None] = {}


def _fields(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a frozen struct or dataclass; ``None``: it is something else."""
    try:
        return _fields_of[kind]
    except KeyError:
        return _fields_of.setdefault(kind, frozen_fields(kind))


def frozen_fields(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a frozen struct, dataclass or attrs class; ``None``: it is something else."""
    cls: Any = get_origin(kind) or kind  # Box[int] is a Box.
    names: tuple[str, ...] | None = None
    if issubclass(cls, msgspec.Struct):
        names = cls.__struct_fields__ if cls.__struct_config__.frozen else None
    elif hasattr(cls, "__dataclass_params__"):
        if cls.__dataclass_params__.frozen:
            names = tuple(one.name for one in dataclasses.fields(cls))
    elif getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs":
        names = tuple(one.name for one in cls.__attrs_attrs__)
    return names


def _with_frozen_fields(value: T, names: tuple[str, ...], leaves: Leaves, ordered: bool) -> T:
    """Return a struct or dataclass with its fields frozen: a copy, where any of them is another one then."""
    made = value
    for name in names:
        before = getattr(value, name, None)
        after = frozen(before, leaves, ordered=ordered)
        if after is not before:
            made = copy.copy(value) if made is value else made
            if isinstance(made, msgspec.Struct):
                msgspec.structs.force_setattr(made, name, after)
            else:
                object.__setattr__(made, name, after)
    return made
