"""The columns of a table."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.rows.settling import (
    QUICK_SETTLERS,
    SETTLERS,
    UNSURE,
    AnyField,
    guarded,
    unsure,
)

_IMMUTABLE = (type(None), str, int, bool, float, bytes, Decimal, date, datetime, time, UUID)


class Column:
    """One column of a table, and what becomes of values in it.

    Attributes:
        field: the model's field.
        name: its ``attname``.
        target: the field that it points to, if it is a foreign key, else itself.
        is_mutable: values may change in place.
        is_known: there are values that are not `UNSURE`.
        is_json: a snapshot of its value is a `Frozen`.
        settle: returns a value as it will be loaded, or `UNSURE`.
    """

    def __init__(self, field: AnyField, connection: BaseDatabaseWrapper) -> None:
        self.field = field
        self.name: str = field.attname
        self.target = target = target_of(field)
        make = SETTLERS.get(type(target))
        settle = make(target, connection) if make and _is_stored_plainly(field) else None
        self.is_json = settle is not None and isinstance(target, models.JSONField)
        self.is_known = settle is not None
        self.is_mutable = self.is_json or settle is None
        # Only a new row's automatic key may be without a value that the database would refuse.
        is_nullable = field.null or (field.primary_key and isinstance(field, models.AutoField))
        self.settle = guarded(settle or unsure, None if is_nullable else UNSURE)
        if settle is not None and make in QUICK_SETTLERS:
            self.settle = QUICK_SETTLERS[make](target, connection, self.settle)

    def is_untouched(self, old: Any, value: Any) -> bool:
        """Whether a value of an unknown field is still the one that was loaded."""
        return old is value and type(value) in _IMMUTABLE


def target_of(field: AnyField) -> AnyField:
    """Follow foreign keys to the field that says what is stored."""
    while isinstance(field, models.ForeignKey):
        field = cast("AnyField", field.target_field)
    return field


def _is_stored_plainly(field: AnyField) -> bool:
    return type(field) in SETTLERS or type(field) in (models.ForeignKey, models.OneToOneField)
