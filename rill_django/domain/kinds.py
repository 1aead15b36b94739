"""The types of a payload: whether JSON can hold their values, and what these need to come back the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum
from functools import partial
from typing import Any, get_origin

import msgspec
from msgspec import inspect

from .errors import DefinitionError
from .frozen import FrozenList, frozen, frozen_fields
from .json_texts import MOST_LEVELS
from .storable import decimal, moment, real, settled, text, time_of_day, whole

# Their values are the same before and after, whatever they are.
_EXACT = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.BytesType,
    inspect.DateType,
    inspect.EnumType,
    inspect.LiteralType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
)
_LEAVES: dict[type, Callable[[Any], Any]] = {
    inspect.StrType: text,
    inspect.IntType: whole,
    inspect.FloatType: real,
    inspect.DecimalType: decimal,
    inspect.DateTimeType: moment,
    inspect.TimeType: time_of_day,
}
_CONTAINERS = (
    inspect.AnyType,
    inspect.DictType,
    inspect.FrozenSetType,
    inspect.ListType,
    inspect.SetType,
    inspect.TypedDictType,
)
_KEYS = (
    inspect.AnyType,
    inspect.BytesType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.DecimalType,
    inspect.EnumType,
    inspect.FloatType,
    inspect.IntType,
    inspect.LiteralType,
    inspect.StrType,
    inspect.TimeDeltaType,
    inspect.TimeType,
    inspect.UUIDType,
)


class Kind:
    """A field's type.

    Attributes:
        type: as msgspec describes it.
        settle: brings a value of it to its stored form, or refuses it; ``None``: there is nothing to do.
        freeze: freezes the lists, dicts and sets in a value of it; ``None``: there are none.
        holds_floats: whether JSON may have a float in it.
        holds_decimals: whether a Decimal may be in it.
        needs_json: whether what comes back is known only by going through JSON.
        has_code: whether code of somebody else's makes values of it, which may do so as it likes.
        levels: most objects and lists inside each other in a value; `MOST_LEVELS`: that many, or any number.
    """

    def __init__(self, annotation: Any, parameter: str, where: str) -> None:
        """Look into a type.

        Raises:
            DefinitionError: it cannot be checked, stored as JSON, or kept from being changed.
        """
        try:
            # Decoder and type information refuse different things.
            msgspec.json.Decoder(annotation)
            self.type = bare(inspect.type_info(annotation))
            inside = list(_inside(self.type))
        except TypeError as error:
            raise unsupported(where, parameter, str(error)) from error
        for one in inside:
            why = _fault(one)
            if why is not None:
                raise unsupported(where, parameter, why)
        self.settle = None if _is_exact(inside) else _settling(self.type)
        self.freeze = _freezing(self.type, inside)
        self.holds_floats = any(
            isinstance(one, (inspect.FloatType, inspect.AnyType)) for one in inside
        )
        self.holds_decimals = any(isinstance(one, inspect.DecimalType) for one in inside)
        self.needs_json = any(map(_needs_json, inside))
        self.has_code = any(map(_has_code, inside))
        self.levels = _levels(self.type, {})


def bare(kind: inspect.Type) -> inspect.Type:
    """Return a type without what only describes it."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def unsupported(where: str, parameter: str, why: str) -> DefinitionError:
    """Return the error for a parameter's type."""
    return DefinitionError(
        f"{where}: parameter {parameter!r} has an unsupported type: {why}. Use str, int, bool, "
        "Decimal, float, UUID, date, datetime, Enum, a frozen msgspec.Struct or dataclass, or a list, "
        "tuple, dict or union of those."
    )


def _inside(kind: Any, seen: set[int] | None = None) -> Iterator[inspect.Type]:
    """Yield a type and all types inside it."""
    seen = set() if seen is None else seen
    if id(kind) in seen or not isinstance(kind, (inspect.Type, inspect.Field)):
        return
    seen.add(id(kind))
    if isinstance(kind, inspect.Type):
        yield kind
    for name in kind.__struct_fields__:
        part = getattr(kind, name)
        for one in part if isinstance(part, tuple) else (part,):
            yield from _inside(one, seen)


def _levels(kind: Any, known: dict[int, int]) -> int:
    """Return an upper bound of how deep values of a type are. Types that hold themselves have none."""
    if isinstance(kind, inspect.AnyType):
        return MOST_LEVELS
    if not isinstance(kind, (inspect.Type, inspect.Field)):
        return 0
    if id(kind) not in known:
        known[id(kind)] = MOST_LEVELS  # For whoever meets it again inside itself.
        parts = [getattr(kind, name) for name in kind.__struct_fields__]
        inside = [
            _levels(one, known)
            for part in parts
            for one in (part if isinstance(part, tuple) else (part,))
        ]
        own = not isinstance(
            kind, (inspect.Field, inspect.Metadata, inspect.UnionType, *_LEAVES, *_EXACT)
        )
        known[id(kind)] = min(MOST_LEVELS, own + max(inside, default=0))
    return known[id(kind)]


def _settling(kind: inspect.Type) -> Callable[[Any], Any]:
    """Return what settles values of a type: `settled`, or what does the same for the types of most fields."""
    if isinstance(kind, inspect.UnionType) and len(kind.types) == 2:
        parts = [type(bare(one)) for one in kind.types]
        leaf = next((_LEAVES[one] for one in parts if one in _LEAVES), None)
        if leaf is not None and inspect.NoneType in parts:
            return lambda value: None if value is None else leaf(value)
    if isinstance(kind, inspect.ListType):
        item = type(bare(kind.item_type))
        if item is inspect.StrType:
            return _settled_texts
        if item in _EXACT:
            return FrozenList
    return _LEAVES.get(type(kind), settled)


def _settled_texts(values: list[str]) -> FrozenList:
    text("".join(values))
    return FrozenList(values)


def _freezing(kind: inspect.Type, inside: Collection[inspect.Type]) -> Callable[[Any], Any] | None:
    if not any(isinstance(one, _CONTAINERS) for one in inside):
        return None
    if isinstance(kind, inspect.ListType) and type(bare(kind.item_type)) in (*_EXACT, *_LEAVES):
        return FrozenList  # Whole logs come by here.
    return partial(frozen, ordered=True)


def _is_exact(inside: list[inspect.Type]) -> bool:
    harmless = (*_EXACT, inspect.Metadata, inspect.UnionType)
    return all(isinstance(one, harmless) for one in inside) and not any(map(_needs_json, inside))


def _fault(kind: inspect.Type) -> str | None:
    """Return why values of a type cannot be kept, if they cannot."""
    if isinstance(kind, inspect.CustomType):
        return f"{kind.cls!r} is not a type that JSON can hold"
    if isinstance(kind, (inspect.RawType, inspect.ExtType)):
        return "raw bytes come back in another form from some databases; write Any"
    if isinstance(kind, (inspect.ByteArrayType, inspect.MemoryViewType)):
        return "bytes of a message never change; write bytes"
    if isinstance(kind, inspect.StructType) and hasattr(kind.cls, "key_names"):
        return f"{kind.cls.__name__} is an aggregate, which messages refer to by its key properties"
    if isinstance(kind, (inspect.StructType, inspect.DataclassType)):
        name = (get_origin(kind.cls) or kind.cls).__name__
        if frozen_fields(kind.cls) is None:
            return f"{name} can be changed, and messages never change; add frozen=True to {name}"
    if isinstance(kind, inspect.DictType):
        for one in _alternatives(kind.key_type):
            if not isinstance(one, _KEYS):
                return f"{type(one).__name__.removesuffix('Type').lower()} cannot be a key in JSON"
    return None


def _needs_json(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.DictType):
        keys = _alternatives(kind.key_type)
        return len(keys) > 1 or isinstance(keys[0], (inspect.AnyType, inspect.FloatType))
    if isinstance(kind, inspect.UnionType):
        parts = [bare(one) for one in kind.types]
        # jsonb writes 1e22 as a whole number.
        return any(isinstance(one, inspect.FloatType) for one in parts) and any(
            isinstance(one, (inspect.IntType, inspect.LiteralType, inspect.EnumType))
            for one in parts
        )
    return isinstance(kind, inspect.AnyType) or _has_code(kind)


def _has_code(kind: inspect.Type) -> bool:
    """Whether code of somebody else's makes a value of what is in the JSON."""
    if isinstance(kind, inspect.EnumType):
        return kind.cls._missing_.__func__ is not Enum._missing_.__func__  # type: ignore[attr-defined]
    if isinstance(kind, (inspect.StructType, inspect.DataclassType)):
        cls = get_origin(kind.cls) or kind.cls
        return hasattr(cls, "__post_init__") or hasattr(cls, "__attrs_post_init__")
    return False


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    kind = bare(kind)
    return [bare(one) for one in kind.types] if isinstance(kind, inspect.UnionType) else [kind]
