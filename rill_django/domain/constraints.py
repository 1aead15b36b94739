"""Bounds on Decimals.

msgspec checks ``Meta(gt=…)`` on int and float, and refuses a type that has it on Decimal. Money is
Decimal, so `separate` takes those bounds out of a type and returns a check for them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Meta

Check = Callable[[Any], "str | None"]
"""Takes a value; returns what is wrong with it, or None."""

_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("gt", gt, ">"),
    ("ge", ge, ">="),
    ("lt", lt, "<"),
    ("le", le, "<="),
)


def separate(annotation: Any) -> tuple[Any, Check | None]:
    """Return the type without the bounds that msgspec refuses, and a check for them, if any."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _separate_annotated(annotation)
    if not arguments or origin is None:
        return annotation, None
    separated = [separate(argument) for argument in arguments]
    checks = [check for _, check in separated if check is not None]
    if not checks:
        return annotation, None
    inner = tuple(kind for kind, _ in separated)
    if origin in (Union, types.UnionType):
        return Union[inner], _first_complaint(checks)
    return origin[inner], _each_member(_first_complaint(checks))


def _separate_annotated(annotation: Any) -> tuple[Any, Check | None]:
    kind, *metadata = get_args(annotation)
    inner, inner_check = separate(kind)
    if inner is not Decimal:
        return annotation, inner_check
    tests = [
        (test, bound, sign)
        for meta in metadata
        if isinstance(meta, Meta)
        for name, test, sign in _BOUNDS
        if (bound := getattr(meta, name)) is not None
    ]

    def check(value: Any) -> str | None:
        if isinstance(value, Decimal):
            for test, bound, sign in tests:
                if value.is_nan() or not test(value, bound):
                    return f"Expected `decimal` {sign} {bound}, got {value}"
        return None

    return Decimal, check if tests else None


def _first_complaint(checks: list[Check]) -> Check:
    def check(value: Any) -> str | None:
        return next((wrong for one in checks if (wrong := one(value)) is not None), None)

    return check


def _each_member(member: Check) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, Mapping):
            value = (*value.keys(), *value.values())
        elif not isinstance(value, (list, tuple, set, frozenset)):
            return member(value)
        return next((wrong for one in value if (wrong := member(one)) is not None), None)

    return check
