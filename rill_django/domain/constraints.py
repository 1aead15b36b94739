"""Bounds on Decimals.

msgspec checks ``Meta(gt=…)`` on int and float, and refuses a type that has it on Decimal. Money is
Decimal, so `separate` takes those bounds out of a type and returns a check for them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from msgspec import Meta


class Complaint(NamedTuple):
    """What is wrong with a value."""

    path: str
    """Where inside the value, e.g. ``[0]``; empty for the value itself."""
    reason: str


Check = Callable[[Any], "Complaint | None"]

_BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "gt": (gt, ">"),
    "ge": (ge, ">="),
    "lt": (lt, "<"),
    "le": (le, "<="),
}
_META_FIELDS = [name for name in dir(Meta) if not name.startswith("_")]
_LISTS = (list, tuple, set, frozenset)
_annotated: Any = Annotated


def separate(annotation: Any) -> tuple[Any, Check | None]:
    """Return the type without the bounds that msgspec refuses, and a check for them, if any."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _separate_annotated(annotation)
    parts = [separate(argument) for argument in arguments]
    checks = [check for _, check in parts]
    if not any(checks):
        return annotation, None
    inner = tuple(kind for kind, _ in parts)
    if origin in (Union, types.UnionType):
        return Union[inner], _alternatives(checks)
    if not isinstance(origin, type):
        return annotation, None
    if issubclass(origin, Mapping):
        return origin[inner], _entries(checks[0], checks[1])  # type: ignore[index]
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return origin[inner], _places(checks)  # type: ignore[index]
    if issubclass(origin, _LISTS) or origin.__module__ == "collections.abc":
        return origin[inner], _members(checks[0])  # type: ignore[index]
    return annotation, None


def _separate_annotated(annotation: Any) -> tuple[Any, Check | None]:
    kind, *metadata = get_args(annotation)
    inner, check = separate(kind)
    if inner is Decimal:
        check = _bounds([one for one in metadata if isinstance(one, Meta)])
        metadata = [left for one in metadata if (left := _without_bounds(one)) is not None]
    if check is None:
        return annotation, None
    arguments = (inner, *metadata)
    return (_annotated[arguments] if metadata else inner), check


def _without_bounds(metadata: Any) -> Any:
    """Return what else is asked for than bounds: msgspec refuses what it cannot check."""
    if not isinstance(metadata, Meta):
        return metadata
    left = {name: getattr(metadata, name) for name in _META_FIELDS if name not in _BOUNDS}
    left = {name: value for name, value in left.items() if value is not None}
    return Meta(**left) if left else None


def _bounds(metadata: list[Meta]) -> Check | None:
    tests = [
        (test, bound, sign)
        for one in metadata
        for name, (test, sign) in _BOUNDS.items()
        if (bound := getattr(one, name)) is not None
    ]

    def check(value: Any) -> Complaint | None:
        if isinstance(value, Decimal):
            for test, bound, sign in tests:
                if value.is_nan() or not test(value, bound):
                    return Complaint("", f"Expected `decimal` {sign} {bound}, got {value}")
        return None

    return check if tests else None


def _alternatives(checks: Sequence[Check | None]) -> Check:
    # Every check looks only at values of its own kind, and msgspec allows one type of a kind.
    def check(value: Any) -> Complaint | None:
        return _first(one(value) for one in checks if one)

    return check


def _members(member: Check | None) -> Check:
    def check(value: Any) -> Complaint | None:
        if not isinstance(value, _LISTS):
            return None
        ordered = isinstance(value, (list, tuple))
        return _first(
            _inside(f"[{number}]" if ordered else "[...]", member, one)
            for number, one in enumerate(value)
        )

    return check


def _places(checks: Sequence[Check | None]) -> Check:
    def check(value: Any) -> Complaint | None:
        if not isinstance(value, tuple):
            return None
        return _first(
            _inside(f"[{number}]", one, member)
            for number, (one, member) in enumerate(zip(checks, value))  # noqa: B905 - same length
        )

    return check


def _entries(key: Check | None, entry: Check | None) -> Check:
    def check(value: Any) -> Complaint | None:
        if not isinstance(value, Mapping):
            return None
        return _first(
            _inside("[...]", one, part)
            for pair in value.items()
            for one, part in zip((key, entry), pair)  # noqa: B905 - same length
        )

    return check


def _inside(path: str, check: Check | None, value: Any) -> Complaint | None:
    wrong = check(value) if check else None
    return wrong and Complaint(path + wrong.path, wrong.reason)


def _first(complaints: Any) -> Complaint | None:
    return next((one for one in complaints if one is not None), None)
