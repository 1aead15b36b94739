"""By which columns a row of one table is found in another one, and which say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.tables import Model


class Column(NamedTuple):
    """A value to compare: a column of the table, or of one that a foreign key leads to.

    Attributes:
        name: what it is called in reports, e.g. ``owner`` or ``customer.name``.
        path: the columns that lead to it, from foreign key to foreign key.
        is_nullable: whether it may be null.
        field: of the last column.
    """

    name: str
    path: tuple[models.Field, ...]  # type: ignore[type-arg]
    is_nullable: bool

    @property
    def field(self) -> models.Field:  # type: ignore[type-arg]
        """The field of the value itself."""
        return self.path[-1]


class Matching(NamedTuple):
    """How two tables of one model are compared."""

    key: tuple[Column, ...]
    others: tuple[Column, ...]
    not_compared: tuple[str, ...]


def matching_of(projection: Projection, model: Model, own: Sequence[Model]) -> Matching:
    """Return how to match the rows of a projection's model.

    Args:
        own: all models of the projection; their surrogate primary keys are different in every rebuild.
    """
    names = _key_names(projection, model)
    key: list[Column] = []
    others: list[Column] = []
    left_out: list[str] = []
    for field in model._meta.local_concrete_fields:
        if (field.primary_key and is_surrogate(field)) or is_clock(field):
            left_out.append(field.name)
            continue
        columns = _columns(field, own, ())
        if not columns:
            left_out.append(field.name)
        (key if field.name in names else others).extend(columns)
    if len({column.path[0].name for column in key}) < len(names):
        key, others = [], [*key, *others]  # Part of the key says nothing.
    return Matching(tuple(key), tuple(others), tuple(left_out))


def is_surrogate(field: models.Field) -> bool:  # type: ignore[type-arg]
    """Whether a primary key is made up: by the database, or by a default like a random UUID."""
    return isinstance(field, models.AutoField) or field.has_default() or field.has_db_default()


def _columns(
    field: models.Field,  # type: ignore[type-arg]
    own: Sequence[Model],
    before: tuple[models.Field, ...],  # type: ignore[type-arg]
) -> list[Column]:
    """Return what stands for a field: itself, or the natural key of what it refers to."""
    path = (*before, field)
    nullable = any(one.null for one in path)
    if not isinstance(field, models.ForeignKey):
        return [Column(".".join(one.name for one in path), path, nullable)]
    target = field.target_field
    parent = target.model._meta.concrete_model or target.model
    if parent not in own:
        return [Column(".".join(one.name for one in path), path, nullable)]
    if not (target.primary_key and (is_surrogate(target) or target.is_relation)):
        return [Column(".".join(one.name for one in path), path, nullable)]
    if len(path) > 5:
        return []
    names = (target.name,) if target.is_relation else natural_key(parent)
    found = [_columns(_field(parent, name), own, path) for name in names]
    return [column for columns in found for column in columns] if all(found) else []


def _key_names(projection: Projection, model: Model) -> tuple[str, ...]:
    key = getattr(projection, "key", None)
    if getattr(projection, "model", None) is model and not callable(key) and key:
        names = (key,) if isinstance(key, str) else tuple(cast("Sequence[str]", key))
        try:
            fields = [_field(model, name) for name in names]
        except FieldDoesNotExist:
            fields = []
        if fields and not any(one.primary_key and is_surrogate(one) for one in fields):
            return tuple(one.name for one in fields)
    return natural_key(model)


def natural_key(model: Model) -> tuple[str, ...]:
    """Return the names of fields that a row can be known by in every rebuild, or nothing."""
    pk = model._meta.pk
    if isinstance(pk, models.CompositePrimaryKey):
        return tuple(pk.field_names)
    if not is_surrogate(pk):
        return (pk.name,)
    candidates: list[Sequence[str]] = [
        (field.name,)
        for field in model._meta.local_concrete_fields
        if field.unique and not field.primary_key
    ]
    candidates += [
        constraint.fields
        for constraint in model._meta.constraints
        if isinstance(constraint, models.UniqueConstraint)
        and constraint.condition is None
        and constraint.fields
    ]
    candidates += model._meta.unique_together
    for names in candidates:
        fields = [_field(model, name) for name in names]
        if not any(field.null or is_random(field) for field in fields):
            return tuple(field.name for field in fields)
    return ()


def is_random(field: models.Field) -> bool:  # type: ignore[type-arg]
    """Whether a field may be filled otherwise in every rebuild, as a random UUID is."""
    return field.has_default() and callable(field.default)


def is_clock(field: models.Field) -> bool:  # type: ignore[type-arg]
    """Whether a field has the time at which its row was written."""
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))


def _field(model: Model, name: str) -> models.Field:  # type: ignore[type-arg]
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return cast("models.Field", field)  # type: ignore[type-arg]
