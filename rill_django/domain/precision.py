"""Floats that stand for Decimals: whether they have the digits that somebody wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import inspect

from .constraints import Complaint
from .kinds import bare

FLOAT_DIGITS = 15
"""Digits that a float keeps of every number. Source: DBL_DIG of IEEE 754 binary64."""

_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_NUMBERS = (inspect.FloatType, inspect.AnyType)


def lost_digits(kind: inspect.Type, value: Any) -> Complaint | None:
    """Return a complaint about a float that is to become a Decimal and may have lost digits before.

    Args:
        kind: the type that the value is to be of.
        value: plain values, as JSON has them.
    """
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        parts = [bare(one) for one in kind.types]
        if type(value) is float and any(isinstance(one, _NUMBERS) for one in parts):
            return None
        return _first("", ((one, value) for one in parts))
    if type(value) is float:
        is_decimal = isinstance(kind, inspect.DecimalType)
        return _complaint(value) if is_decimal and _digits(value) > FLOAT_DIGITS else None
    if isinstance(value, (list, tuple)):
        return _first_of_each(kind, value)
    if isinstance(value, Mapping):
        return _first_of_members(kind, value)
    return None


def _first_of_each(kind: inspect.Type, values: list[Any] | tuple[Any, ...]) -> Complaint | None:
    kinds: Iterable[inspect.Type] = ()
    if isinstance(kind, inspect.TupleType):
        kinds = kind.item_types
    elif isinstance(kind, (inspect.NamedTupleType, inspect.StructType)):
        kinds = [one.type for one in kind.fields]
    elif isinstance(kind, _LISTS):
        kinds = [kind.item_type] * len(values)
    for number, (one, value) in enumerate(zip(kinds, values)):  # noqa: B905 - msgspec checks lengths
        complaint = lost_digits(one, value)
        if complaint is not None:
            return Complaint(f"[{number}]{complaint.path}", complaint.reason)
    return None


def _first_of_members(kind: inspect.Type, values: Mapping[Any, Any]) -> Complaint | None:
    if isinstance(kind, inspect.DictType):
        found = _first("[...]", ((kind.key_type, name) for name in values))
        return found or _first("[...]", ((kind.value_type, one) for one in values.values()))
    if isinstance(kind, (inspect.StructType, inspect.DataclassType, inspect.TypedDictType)):
        for field in kind.fields:
            if field.encode_name in values:
                complaint = lost_digits(field.type, values[field.encode_name])
                if complaint is not None:
                    return Complaint(f".{field.encode_name}{complaint.path}", complaint.reason)
    return None


def _first(path: str, pairs: Iterable[tuple[inspect.Type, Any]]) -> Complaint | None:
    for kind, value in pairs:
        complaint = lost_digits(kind, value)
        if complaint is not None:
            return Complaint(path + complaint.path, complaint.reason)
    return None


def _digits(value: float) -> int:
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


def _complaint(value: float) -> Complaint:
    return Complaint(
        "",
        f"expected a decimal, got the float {value!r}, which may have lost digits. "
        "Give it as a text, or parse JSON by from_json",
    )
