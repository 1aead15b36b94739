"""JSON that gives values back as what they were, for data that no declaration says the types of.

What JSON has itself stays as it is: ``{"left": 3}``. All else is an object with one name that says what it
is: ``{"$Decimal": "5.00"}``, ``{"$set": ["a", "b"]}``, ``{"$of": ["bank.domain:Line", {"sku": "x"}]}``.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from .aggregate_type import AggregateMeta
from .definitions import CommandType, EventType
from .frozen import FrozenDict, FrozenList, FrozenSet, OrderedFrozenSet
from .storable import LEAVES, Unstorable

_MARK = "$"
_AS_JSON: tuple[type, ...] = (str, int, float)
_TEXTS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    Decimal: (str, Decimal),
    # A datetime is a date, too, so it comes first.
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*parts),
    ),
    UUID: (str, UUID),
    bytes: (bytes.hex, bytes.fromhex),
}
"""How values of a type are written, and read."""


def encode_typed(value: Any) -> bytes:
    """Return a value as JSON that `decode_typed` makes it from again.

    Subclasses of the standard types are written as these, moments with the offset that their zone has.
    Structs, dataclasses, enums and the like come back as what they are if they can be found by their names
    and compared; else, as dicts. What JSON has no form for is written as text.

    Raises:
        Unstorable: it has something in it that cannot be kept without loss, or is nested too deeply.
    """
    try:
        return msgspec.json.encode(_plain(value))
    except RecursionError:
        raise Unstorable("is nested too deeply") from None


def decode_typed(data: bytes | msgspec.Raw) -> Any:
    """Return the value, with its containers frozen. What code no longer knows comes back as plain JSON.

    Raises:
        ValueError: this is no JSON, or has not been written by `encode_typed`.
    """
    try:
        return _value(msgspec.json.decode(data))
    except (RecursionError, TypeError, ArithmeticError) as error:
        raise ValueError(f"cannot be read: {error}") from error


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain_enum(value)
    for kind in _AS_JSON:
        if isinstance(value, kind):
            return LEAVES[kind](str.__str__(value) if kind is str else kind(value))
    for kind, (write, _read) in _TEXTS.items():
        if isinstance(value, kind):
            settle = LEAVES.get(kind)
            return {_MARK + kind.__name__: write(value if settle is None else settle(value))}
    if isinstance(value, Mapping):
        return _plain_dict(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Set):
        name = "frozenset" if isinstance(value, frozenset) else "set"
        return {_MARK + name: sorted(map(_plain, value), key=msgspec.json.encode)}
    names = _fields(type(value))
    if names is not None:
        return _plain_fields(value, names)
    if isinstance(value, tuple):
        return {_MARK + "tuple": [_plain(one) for one in value]}
    return LEAVES[str](str(value))


def _plain_dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    if all(type(name) is str for name in value):
        made = {LEAVES[str](name): _plain(one) for name, one in value.items()}
        if len(made) != 1 or not next(iter(made)).startswith(_MARK):
            return made
    return {_MARK + "dict": [[_plain(name), _plain(one)] for name, one in value.items()]}


def _plain_enum(value: Enum) -> Any:
    kind = type(value)
    name = _name_of(kind)
    plain = _plain(value.value)
    # Flags that are set together have no name of their own.
    member = value.name if value.name in kind.__members__ else None
    return plain if name is None else {_MARK + "enum": [name, member, plain]}


def _plain_fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
    name = _name_of(type(value)) if _is_compared(type(value)) else None
    if name is None or len(fields) < len(names):
        return _plain_dict(fields)
    return {_MARK + "of": [name, {name: _plain(one) for name, one in fields.items()}]}


def _fields(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of a struct, dataclass, attrs class or named tuple; ``None``: it is none."""
    names: Any = None
    if issubclass(kind, msgspec.Struct):
        names = kind.__struct_fields__
    elif dataclasses.is_dataclass(kind):
        names = tuple(one.name for one in dataclasses.fields(kind))
    elif hasattr(kind, "__attrs_attrs__"):
        names = tuple(one.name for one in kind.__attrs_attrs__)
    elif issubclass(kind, tuple) and hasattr(kind, "_make"):
        names = kind._fields
    return names if names is None else tuple(names)


def _is_compared(kind: Any) -> bool:
    """Whether two values of a class may be equal: else, no answer that has one is."""
    if issubclass(kind, msgspec.Struct) and not kind.__struct_config__.eq:
        return bool(kind.__eq__ is not msgspec.Struct.__eq__)
    return kind.__eq__ is not object.__eq__


def _name_of(kind: type) -> str | None:
    """Return a name that every process finds a class by; ``None``: there is none."""
    definition: Any = getattr(kind, "definition", None)
    if isinstance(definition, (EventType, CommandType)):
        owner = definition.aggregate
        name = f"{owner.__module__}:{owner.__qualname__}.{definition.short_name}"
    else:
        name = f"{kind.__module__}:{kind.__qualname__}"
    return name if _class_of(name) is kind else None


def _class_of(name: str) -> Any:
    """Return the class that has a name, if its module is there: nothing is imported for what data says."""
    module, _colon, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, (EventType, CommandType)):
        return found.payload.struct
    return found if isinstance(found, type) else None


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return FrozenList([_value(one) for one in plain])
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        ((name, inside),) = plain.items()
        read = _READERS.get(name)
        if read is not None:
            return read(inside)
    return FrozenDict({name: _value(one) for name, one in plain.items()})


def _dict(pairs: list[tuple[Any, Any]]) -> Any:
    made = [(_value(name), _value(one)) for name, one in pairs]
    try:
        return FrozenDict(made)
    except TypeError:  # What was found by a name, and is a dict now, cannot be a key.
        return FrozenList([FrozenList(one) for one in made])


def _set(items: list[Any], kind: type = FrozenSet) -> Any:
    made = [_value(one) for one in items]
    try:
        return kind(made)
    except TypeError:  # Likewise.
        return FrozenList(made)


def _enum(parts: list[Any]) -> Any:
    name, member, plain = parts
    kind = _class_of(name)
    value = _value(plain)
    if kind is None or not issubclass(kind, Enum):
        return value
    if member in kind.__members__:
        return kind.__members__[member]
    try:
        return kind(value)
    except ValueError:
        return value


def _of(parts: list[Any]) -> Any:
    name, fields = parts
    values = {field: _value(one) for field, one in fields.items()}
    kind = _class_of(name)
    if kind is None or set(values) != set(_fields(kind) or ()):
        return FrozenDict(values)
    if isinstance(kind, AggregateMeta):
        return kind.restored(values)
    if issubclass(kind, (msgspec.Struct, tuple)):
        try:
            return kind(**values)
        except (TypeError, ValueError):  # It has another idea of what is right by now.
            return FrozenDict(values)
    made = object.__new__(kind)
    for field, value in values.items():
        object.__setattr__(made, field, value)
    return made


_READERS: dict[str, Callable[[Any], Any]] = {
    **{_MARK + kind.__name__: read for kind, (_write, read) in _TEXTS.items()},
    _MARK + "dict": _dict,
    _MARK + "set": _set,
    _MARK + "frozenset": lambda items: _set(items, OrderedFrozenSet),
    _MARK + "tuple": lambda items: tuple(map(_value, items)),
    _MARK + "enum": _enum,
    _MARK + "of": _of,
}
