"""Instances of a projection's model: new, loaded, and for the ORM to write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.db import models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import post_init, pre_init

from rill_django.projections.rows.columns import Column
from rill_django.projections.rows.entries import Instance, Key, Values
from rill_django.projections.rows.frozen import Frozen
from rill_django.projections.rows.layout import Layout
from rill_django.projections.rows.settling import UNSURE, AnyField


class Instances:
    """Makes instances of a model.

    Args:
        layout: of the model's rows.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._model = layout.model
        self._columns = layout.columns

    @cached_property
    def _template(self) -> tuple[dict[str, Any], list[tuple[str, AnyField]]]:
        """Return the attributes of a new instance, and the fields whose default is made each time."""
        attributes: dict[str, Any] = {}
        made: list[tuple[str, AnyField]] = []
        for column in self._columns:
            field = column.field
            attributes[column.name] = None
            if (field.has_default() and callable(field.default)) or column.is_mutable:
                made.append((column.name, field))
            else:
                attributes[column.name] = _settled(column, _literal_default(field))
        return attributes, made

    @cached_property
    def is_making_watched(self) -> bool:
        """Whether somebody does more, when an instance is made, than to set its attributes."""
        model = self._model
        return not (
            model.__init__ is models.Model.__init__
            and model.from_db.__func__ is models.Model.from_db.__func__  # type: ignore[attr-defined]
            and not pre_init.has_listeners(model)
            and not post_init.has_listeners(model)
        )

    @cached_property
    def _is_plain(self) -> bool:
        """Whether an instance is its attributes and no more."""
        return not self.is_making_watched and all(column.is_known for column in self._columns)

    def new(self, key: Key) -> Instance:
        """Return an instance with the model's defaults, for a key that has no row."""
        attributes, made = self._template
        if self._is_plain:
            row = self._model.__new__(self._model)
            row._state = ModelState()
            values = row.__dict__
            values.update(attributes)
            for name, field in made:
                values[name] = _literal_default(field)
            for name, value in zip(self._layout.key_names, key, strict=True):
                values[name] = value
            return row
        literals = {
            column.name: _literal_default(column.field)
            for column in self._columns
            if _has_plain_default(column.field)
        }
        return self._model(**literals | dict(zip(self._layout.key_names, key, strict=True)))

    def new_values(self, key: Key) -> Values:
        """Return the values of a new instance: those that need no look if they are still the same."""
        values = self._new_values.copy()
        for index, value in zip(self._layout.key_indexes, key, strict=True):
            values[index] = value
        return tuple(values)

    @cached_property
    def _new_values(self) -> list[Any]:
        attributes, made = self._template
        made_each_time = {name for name, _ in made}
        values = []
        for column in self._columns:
            value = attributes[column.name]
            is_sure = column.name not in made_each_time and column.settle(value) is value
            values.append(value if is_sure else UNSURE)
        return values

    def loaded(self, values: Sequence[Any]) -> Instance:
        """Return an instance of what the database has given: values of all columns."""
        if not self._is_plain:
            return self._model.from_db(self._layout.using, self._layout.all_names, values)
        row = self._model.__new__(self._model)
        row._state = state = ModelState()
        state.adding = False
        state.db = self._layout.using
        row.__dict__.update(zip(self._layout.all_names, values, strict=True))
        return row

    def made_anew(self, row: Instance) -> Instance:
        """Return another instance of a row, as if it had been loaded now."""
        return self.loaded([row.__dict__[name] for name in self._layout.all_names])

    def to_write(self, values: Values) -> Instance:
        """Return an instance for the ORM to write, which may change it."""
        attributes = {
            name: value.live if isinstance(value, Frozen) else value
            for name, value in zip(self._layout.names, values, strict=True)
        }
        return self._model(**attributes)


def _literal_default(field: AnyField) -> Any:
    """Return a field's default; where the database has it, and it is a plain value, that value."""
    value = field.get_default()
    if isinstance(value, DatabaseDefault) and _has_plain_default(field):
        default = field.db_default
        return default.value if isinstance(default, models.Value) else default
    return value


def _has_plain_default(field: AnyField) -> bool:
    """Whether the database has a default that is a plain value, and no expression."""
    default = field.db_default
    if default is NOT_PROVIDED:
        return False
    return isinstance(default, models.Value) or not hasattr(default, "resolve_expression")


def _settled(column: Column, value: Any) -> Any:
    """Return the value as it will be loaded, or itself if that is not known."""
    found = column.settle(value)
    return value if found is UNSURE else found
