"""Values as the database will give them back.

Applied one at a time, events see rows that have been stored and loaded: an amount is rounded to the
field's places, a time is in UTC, a tuple in a `JSONField` has become a list. Rows that stay in memory
between events have to look the same. For Django's own fields and usual values that can be said in
Python. For all others the answer is `UNSURE`, and the row is stored and loaded before the next event.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, getcontext
from math import copysign, isfinite
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

UNSURE: Final = object()
"""What the database makes of a value has to be seen."""

Settle: TypeAlias = Callable[[Any], Any]
AnyField: TypeAlias = "models.Field[Any, Any]"

_SQLITE_DIGITS = 15
_FIRST_SURE_YEAR = 1000
_LONGEST_SURE_DURATION = timedelta(days=10_000_000)
_BIGGEST_SURE_INTEGER = 2**63


def unsure(value: Any) -> Any:
    """Return `UNSURE`, whatever the value."""
    return UNSURE


def guarded(settle: Settle, without_value: Any) -> Settle:
    """Return a function that settles a value; ``None`` becomes ``without_value``, errors `UNSURE`."""

    def settle_or_unsure(value: Any) -> Any:
        if value is None:
            return without_value
        try:
            return settle(value)
        except Exception:
            # The database, or the field on the way to it, will say what is wrong with it.
            return UNSURE

    return settle_or_unsure


def quick_texts(field: AnyField, connection: BaseDatabaseWrapper, otherwise: Settle) -> Settle:
    """Return a function that lets usual texts pass at once, and leaves all else to ``otherwise``.

    Of all steps of a `RowProjection`, settling values is the one that is taken most often.
    """
    longest: int = getattr(field, "max_length", None) or sys.maxsize

    def settle(value: Any) -> Any:
        if type(value) is str and len(value) <= longest and value.isascii() and "\0" not in value:
            return value
        return otherwise(value)

    return settle


def quick_integers(field: AnyField, connection: BaseDatabaseWrapper, otherwise: Settle) -> Settle:
    """Return a function that lets usual integers pass at once; see `quick_texts`."""
    low, high = connection.ops.integer_field_range(field.get_internal_type())

    def settle(value: Any) -> Any:
        return value if type(value) is int and low <= value <= high else otherwise(value)

    return settle


def quick_dates(field: AnyField, connection: BaseDatabaseWrapper, otherwise: Settle) -> Settle:
    """Return a function that lets usual dates pass at once; see `quick_texts`."""

    def settle(value: Any) -> Any:
        is_usual = type(value) is date and value.year >= _FIRST_SURE_YEAR
        return value if is_usual else otherwise(value)

    return settle


def _texts(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    longest: int | None = field.max_length if isinstance(field, models.CharField) else None

    def settle(value: Any) -> Any:
        if type(value) is not str:
            if hasattr(value, "resolve_expression"):
                return UNSURE
            value = str.__str__(value) if isinstance(value, str) else str(value)
        if (longest is not None and len(value) > longest) or "\0" in value:
            return UNSURE
        if not value.isascii():
            value.encode()  # Surrogates cannot be stored.
        return value

    return settle


def _integers(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    low, high = connection.ops.integer_field_range(field.get_internal_type())

    def settle(value: Any) -> Any:
        if type(value) is not int:
            value = field.get_prep_value(value)
        return value if type(value) is int and low <= value <= high else UNSURE

    return settle


def _booleans(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        if type(value) is not bool:
            value = field.to_python(value)
        return value if type(value) is bool else UNSURE

    return settle


def _floats(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        if type(value) is not float:
            value = field.get_prep_value(value)
        is_negative_zero = not value and copysign(1, value) < 0
        is_sure = type(value) is float and isfinite(value) and not is_negative_zero
        return value if is_sure else UNSURE

    return settle


def _decimals(field: AnyField, connection: BaseDatabaseWrapper) -> Settle | None:
    digits, places = field.max_digits, field.decimal_places  # type: ignore[attr-defined]
    if digits is None or places is None:
        return None
    unit = Decimal(1).scaleb(-places)
    # On PostgreSQL the database rounds; on the others, Django does.
    is_rounded_by_database = connection.vendor == "postgresql"
    context = Context(
        prec=digits + 40 if is_rounded_by_database else digits,
        rounding=ROUND_HALF_UP if is_rounded_by_database else getcontext().rounding,
        traps=[InvalidOperation],
    )
    sure_digits = min(digits, _SQLITE_DIGITS) if connection.vendor == "sqlite" else digits
    high = Decimal(10) ** (sure_digits - places)
    low = -high

    def settle(value: Any) -> Any:
        if type(value) is not Decimal:
            value = field.to_python(value)
        if not value.same_quantum(unit):
            value = value.quantize(unit, context=context)
        if not value:
            return UNSURE if value.is_signed() else value
        return value if low < value < high else UNSURE

    return settle


def _dates(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        if type(value) is not date:
            value = field.to_python(value)
        return value if type(value) is date and value.year >= _FIRST_SURE_YEAR else UNSURE

    return settle


def _datetimes(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    zone = connection.timezone if settings.USE_TZ else None
    may_be_ambiguous = zone is not None and not isinstance(zone, timezone)

    def settle(value: Any) -> Any:
        if type(value) is not datetime or (value.tzinfo is None) is not (zone is None):
            return UNSURE
        if value.year <= _FIRST_SURE_YEAR:
            return UNSURE
        if zone is not None and value.tzinfo is not zone:
            value = value.astimezone(zone)
        is_ambiguous = value.fold or (
            may_be_ambiguous and value.utcoffset() != value.replace(fold=1).utcoffset()
        )
        return UNSURE if is_ambiguous else value

    return settle


def _times(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        is_plain = type(value) is time and value.tzinfo is None and not value.fold
        return value if is_plain else UNSURE

    return settle


def _durations(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        is_plain = type(value) is timedelta and abs(value) < _LONGEST_SURE_DURATION
        return value if is_plain else UNSURE

    return settle


def _uuids(field: AnyField, connection: BaseDatabaseWrapper) -> Settle:
    def settle(value: Any) -> Any:
        if type(value) is not UUID:
            value = field.to_python(value)
        return value if type(value) is UUID else UNSURE

    return settle


def _json(field: AnyField, connection: BaseDatabaseWrapper) -> Settle | None:
    if field.decoder is not None:  # type: ignore[attr-defined]
        return None
    encoder = field.encoder  # type: ignore[attr-defined]
    is_mariadb = getattr(connection, "mysql_is_mariadb", False)
    sorts = connection.vendor in ("postgresql", "mysql") and not is_mariadb

    def settle(value: Any) -> Any:
        # Also makes a copy, so that no event is changed through a row.
        return _plain(json.loads(json.dumps(value, cls=encoder)), sorts)

    return settle


def _plain(value: Any, sorts: bool) -> Any:
    """Return JSON as a database that parses it gives it back; raise `ValueError` if not sure."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name)) if sorts else value
        return {_plain(name, sorts): _plain(value[name], sorts) for name in names}
    if isinstance(value, list):
        return [_plain(one, sorts) for one in value]
    if isinstance(value, str):
        value.encode()
        is_sure = "\0" not in value
    elif isinstance(value, float):
        is_negative_zero = not value and copysign(1, value) < 0
        is_sure = isfinite(value) and "e" not in repr(value) and not is_negative_zero
    else:
        is_sure = value is None or abs(value) < _BIGGEST_SURE_INTEGER
    if not is_sure:
        raise ValueError(value)
    return value


SETTLERS: dict[type, Callable[[Any, BaseDatabaseWrapper], Settle | None]] = {
    models.AutoField: _integers,
    models.BigAutoField: _integers,
    models.SmallAutoField: _integers,
    models.BigIntegerField: _integers,
    models.IntegerField: _integers,
    models.SmallIntegerField: _integers,
    models.PositiveBigIntegerField: _integers,
    models.PositiveIntegerField: _integers,
    models.PositiveSmallIntegerField: _integers,
    models.BooleanField: _booleans,
    models.CharField: _texts,
    models.EmailField: _texts,
    models.SlugField: _texts,
    models.TextField: _texts,
    models.URLField: _texts,
    models.DateField: _dates,
    models.DateTimeField: _datetimes,
    models.TimeField: _times,
    models.DurationField: _durations,
    models.DecimalField: _decimals,
    models.FloatField: _floats,
    models.JSONField: _json,
    models.UUIDField: _uuids,
}
"""What makes the function that settles values of a field, by the field's type."""

QUICK_SETTLERS: dict[Any, Callable[[AnyField, BaseDatabaseWrapper, Settle], Settle]] = {
    _dates: quick_dates,
    _integers: quick_integers,
    _texts: quick_texts,
}
"""What makes the function that is asked first, by what makes the other one."""
