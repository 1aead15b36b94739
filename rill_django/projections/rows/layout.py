"""The columns of a model's table, and what each of them is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from django.db import connections, models

from rill_django.projections.rows.columns import Column
from rill_django.projections.rows.entries import Values
from rill_django.projections.rows.settling import AnyField
from rill_django.projections.rows.uniqueness import primary_key_of, uniqueness_of


class Layout:
    """The columns of a model whose rows are identified by some of its fields.

    Args:
        model: the model.
        using: alias of the database.
        key_names: ``attname`` of the fields that identify a row.

    Attributes:
        columns: those that rows are written with: all but generated ones.
        names: their ``attname``.
        all_names: those of generated ones too, in the model's order.
        key_indexes: places of the key among the columns.
        primary_key_indexes: places of the primary key.
        fixed_indexes: columns of an existing row that must not change.
        stamped_indexes: columns that tell when a row was made or changed.
        written_once: columns that tell when a row was made.
        uniqueness: what must be unique besides.
        has_automatic_key: the database gives new rows their primary key.
        has_generated: the database computes some of the values.
        has_relations: instances may hold other instances.
        values_of: returns the values of all columns from an instance's attributes; `KeyError`: one has
            been deleted.
    """

    def __init__(self, model: type[models.Model], using: str, key_names: Sequence[str]) -> None:
        self.model = model
        self.using = using
        self.key_names = tuple(key_names)
        meta = model._meta
        connection = connections[using]
        fields: list[AnyField] = [field for field in meta.concrete_fields if not field.generated]
        self.columns = [Column(field, connection) for field in fields]
        self.names = tuple(column.name for column in self.columns)
        self.all_names = tuple(field.attname for field in meta.concrete_fields)
        primary_key = primary_key_of(model)
        self.key_indexes = tuple(map(self.names.index, self.key_names))
        self.primary_key_indexes = tuple(self.names.index(one.attname) for one in primary_key)
        self.fixed_indexes = frozenset((*self.key_indexes, *self.primary_key_indexes))
        self.written_once = _indexes(fields, "auto_now_add")
        self.stamped_indexes = _indexes(fields, "auto_now") | self.written_once
        self.uniqueness = uniqueness_of(
            model,
            self.columns,
            (frozenset(self.key_indexes), frozenset(self.primary_key_indexes)),
            connection.vendor,
        )
        self.has_automatic_key = (
            len(primary_key) == 1
            and isinstance(primary_key[0], models.AutoField)
            and primary_key[0].attname not in self.key_names
        )
        self.has_generated = len(fields) < len(meta.concrete_fields)
        self.has_relations = any(field.is_relation for field in fields)
        self.values_of = getter(self.names)


def _indexes(fields: Sequence[AnyField], option: str) -> frozenset[int]:
    return frozenset(index for index, one in enumerate(fields) if getattr(one, option, False))


def getter(places: Sequence[Any]) -> Callable[[Any], Values]:
    """Return a function that gives the values in these places: names or indexes; always a tuple."""
    get: Any = itemgetter(*places)
    return get if len(places) > 1 else lambda values: (get(values),)
