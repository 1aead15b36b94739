"""What must be unique in a table, besides the keys of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import models

from rill_django.projections.rows.columns import Column


class Uniqueness(NamedTuple):
    """What two rows of a table must not have in common.

    Attributes:
        sets: indexes of the columns that must be unique together: rows that have the same values are
            seen here before the database sees them.
        opaque: indexes of the columns of those constraints whose violation cannot be foreseen here.
    """

    sets: Sequence[tuple[int, ...]]
    opaque: frozenset[int]


def primary_key_of(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Return the fields of a model's primary key: several if it is a composite one."""
    meta = model._meta
    return list(getattr(meta, "pk_fields", None) or [meta.pk])


def concrete_of(model: type[models.Model]) -> type[models.Model]:
    """Return the model that has the table: that of a proxy, which does not know what is unique in it."""
    return model._meta.concrete_model or model


def uniqueness_of(
    model: type[models.Model],
    columns: Sequence[Column],
    known: Collection[frozenset[int]],
    vendor: str,
) -> Uniqueness:
    """Return what must be unique in a model's table.

    Args:
        columns: those of the model that rows are written with.
        known: sets of columns that need no look: the key of the rows, the primary key.
        vendor: of the database.
    """
    names = [column.name for column in columns]
    found, opaque = _constraints(model, set(names))
    sets = []
    for names_together in found:
        indexes = tuple(map(names.index, names_together))
        if frozenset(indexes) in known:
            continue
        if all(_compares_exactly(columns[index], vendor) for index in indexes):
            sets.append(indexes)
        else:
            opaque |= names_together
    return Uniqueness(sets, frozenset(map(names.index, opaque)))


def _constraints(
    model: type[models.Model], names: set[str]
) -> tuple[set[frozenset[str]], set[str]]:
    """Return the sets of names that are unique together, and the names in all other constraints."""
    meta = concrete_of(model)._meta

    def attname(name: str) -> str:
        return meta.get_field(name).attname  # type: ignore[union-attr]

    found = {frozenset((name,)) for name in _unique_names(model)}
    found |= {frozenset(map(attname, together)) for together in meta.unique_together}
    opaque: set[str] = set()
    for one in meta.constraints:
        if isinstance(one, models.CheckConstraint):
            continue
        together = {attname(name) for name in getattr(one, "fields", ())}
        if (
            isinstance(one, models.UniqueConstraint)
            and not one.expressions
            and one.nulls_distinct is not False
            and together <= names
        ):
            found.add(frozenset(together))
        else:
            opaque |= together & names or names
    return found, opaque


def _unique_names(model: type[models.Model]) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        if field.unique and not field.generated:
            yield field.attname


def _compares_exactly(column: Column, vendor: str) -> bool:
    """Whether values are equal to the database only if they are equal to Python."""
    if not column.is_known or column.is_json:
        return False
    is_text = isinstance(column.target, (models.CharField, models.TextField))
    return not is_text or (vendor != "mysql" and not getattr(column.target, "db_collation", None))
