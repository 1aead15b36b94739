"""Values as every database gives them back: brought to that form, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone
from decimal import (
    Clamped,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
)
from math import isfinite
from typing import Any

from .frozen import Leaves, frozen

DECIMAL_DIGITS = 100
"""Digits that a Decimal may have. It also lies within 10 to the power of plus and minus that."""

INTEGER_DIGITS = 1_000
"""Digits that an integer may have."""

_LIMIT = 10**INTEGER_DIGITS
_BOUNDS = Context(
    prec=DECIMAL_DIGITS,
    Emax=DECIMAL_DIGITS,
    Emin=-DECIMAL_DIGITS,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Rounded, Subnormal],
)
_WITHOUT_OFFSET = timedelta()


class Unstorable(ValueError):
    """A value cannot be kept without loss; the text says why."""


def settled(value: Any) -> Any:
    """Return a value as it comes back from the log, with its containers frozen.

    Raises:
        Unstorable: it cannot be kept without loss.
    """
    try:
        return frozen(value, LEAVES, ordered=True)
    except RecursionError:
        raise Unstorable("is nested too deeply") from None
    except Unstorable:
        raise
    except ValueError as error:
        raise Unstorable(str(error)) from None


def place_in(value: Any) -> str:
    """Return where inside a value that `settled` refuses the culprit is, e.g. ``.lines[0].sku``."""
    inside: list[tuple[str, Any]] = []
    if isinstance(value, (list, tuple)):
        inside = [(f"[{number}]", one) for number, one in enumerate(value)]
    elif isinstance(value, (set, frozenset)):
        inside = [("[...]", one) for one in value]
    elif isinstance(value, Mapping):
        inside = [("[...]", name) for name in value] + [("[...]", value[name]) for name in value]
    elif hasattr(type(value), "__struct_fields__") or hasattr(type(value), "__dataclass_fields__"):
        fields = getattr(type(value), "__struct_fields__", None) or type(value).__dataclass_fields__
        inside = [(f".{name}", getattr(value, name)) for name in fields]
    for path, one in inside:
        try:
            settled(one)
        except Unstorable:
            return path + place_in(one)
    return ""


def text(value: str) -> str:
    """Refuse what no database keeps: half a surrogate pair, and NUL."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unstorable("is no Unicode text: it has surrogates in it") from None
    if "\0" in value:
        raise Unstorable("a text has a NUL character in it, which databases cannot store")
    return value


def whole(value: int) -> int:
    """Refuse what has more digits than anybody reads."""
    if -_LIMIT < value < _LIMIT:
        return value
    raise Unstorable(f"an integer has more than {INTEGER_DIGITS:,} digits")


def real(value: float) -> float:
    """Refuse NaN and infinity, of which JSON makes null; make negative zero, which jsonb drops, zero."""
    if isfinite(value):
        return value or 0.0
    raise Unstorable(f"JSON has no number {value}")


def decimal(value: Decimal) -> Decimal:
    """Refuse what is no number, or infinite, or so large that to reckon with it would take for ever."""
    if not value.is_finite():
        raise Unstorable(f"expected a finite number, got {value}")
    try:
        _BOUNDS.plus(value)
    except DecimalException:
        raise Unstorable(
            f"a decimal has more than {DECIMAL_DIGITS} digits, or is beyond 1E±{DECIMAL_DIGITS}"
        ) from None
    return value


def moment(value: datetime) -> datetime:
    """Fix the offset from UTC, which is what the log keeps of a time zone. Without a zone: as it is."""
    zone = value.tzinfo
    if zone is timezone.utc or zone is None:
        return value.replace(fold=0) if value.fold else value
    offset = value.utcoffset()
    if offset is None:
        return value.replace(tzinfo=None, fold=0)
    if _is_finer_than_minutes(offset):
        try:
            return value.astimezone(timezone.utc)
        except OverflowError:
            raise Unstorable(f"{value} is beyond the calendar in UTC") from None
    return value.replace(tzinfo=_fixed(offset), fold=0)


def time_of_day(value: time) -> time:
    """Fix the offset from UTC; a time zone has none without a date."""
    if value.tzinfo is None:
        return value.replace(fold=0) if value.fold else value
    offset = value.utcoffset()
    if offset is None or _is_finer_than_minutes(offset):
        raise Unstorable(
            f"a time of day in the zone {value.tzinfo} has no offset from UTC in whole minutes. "
            "Give it without a zone, or as a datetime"
        )
    return value.replace(tzinfo=_fixed(offset), fold=0)


def _is_finer_than_minutes(offset: timedelta) -> bool:
    return bool(offset.seconds % 60 or offset.microseconds)


def _fixed(offset: timedelta) -> timezone:
    return timezone.utc if offset == _WITHOUT_OFFSET else timezone(offset)


LEAVES: Leaves = {
    str: text,
    int: whole,
    float: real,
    Decimal: decimal,
    datetime: moment,
    time: time_of_day,
}
