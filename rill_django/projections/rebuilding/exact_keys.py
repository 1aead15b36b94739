"""Whether different keys of an aggregate are different to the fields of a model, too.

A field may make the same of two: of a text in upper and in lower case a `UUIDField` makes one UUID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from msgspec import inspect

from rill_django.domain.definitions import EventType

# Subclasses may do as they like.
_TEXTS = (
    models.CharField,
    models.EmailField,
    models.SlugField,
    models.TextField,
    models.URLField,
)
_INTEGERS = (
    models.BigIntegerField,
    models.IntegerField,
    models.PositiveBigIntegerField,
    models.PositiveIntegerField,
    models.PositiveSmallIntegerField,
    models.SmallIntegerField,
)
_KEPT_APART: Mapping[type, frozenset[type]] = {
    **dict.fromkeys(
        _TEXTS,
        frozenset({inspect.StrType, inspect.IntType, inspect.UUIDType, inspect.DateType}),
    ),
    **dict.fromkeys(_INTEGERS, frozenset({inspect.IntType})),
    models.DateField: frozenset({inspect.DateType}),
    models.UUIDField: frozenset({inspect.UUIDType}),
}
"""Types of keys that a field makes no two the same of."""


def keeps_keys_apart(
    model: type[models.Model], names: Sequence[str], event: EventType[Any, ...]
) -> bool:
    """Whether it is known for sure that no two keys are the same row.

    Args:
        names: the fields of the model, and of the event, that the key consists of.
        event: any type of event that has the key.
    """
    kind = inspect.type_info(event.payload.struct)
    assert isinstance(kind, inspect.StructType)
    kinds = {one.name: one.type for one in kind.fields}
    try:
        fields = [_stored_in(model._meta.get_field(name)) for name in names]
    except FieldDoesNotExist:
        return False
    return all(
        _kind_of(kinds[name]) in _KEPT_APART.get(type(field), ())
        # To a collation of its own, two texts may be equal.
        and not getattr(field, "db_collation", None)
        for name, field in zip(names, fields, strict=True)
    )


def _stored_in(field: Any) -> Any:
    """Follow foreign keys to the field that says what is stored."""
    while type(field) in (models.ForeignKey, models.OneToOneField):
        field = field.target_field
    return field


def _kind_of(kind: inspect.Type) -> type:
    """Return the kind of a key's values; an Enum's are all str or all int, or no message could hold it."""
    while isinstance(kind, inspect.Metadata):  # Of an Annotated type, say.
        kind = kind.type
    if isinstance(kind, inspect.EnumType):
        kind = inspect.type_info(type(next(iter(kind.cls)).value))
    return type(kind)
