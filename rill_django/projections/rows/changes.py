"""What a handler has changed in a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from itertools import compress
from operator import is_not
from typing import Any

from rill_django.domain.errors import RillError
from rill_django.projections.routing import RowIsNotStored
from rill_django.projections.rows.entries import Instance, Key, Values
from rill_django.projections.rows.frozen import Frozen, freeze
from rill_django.projections.rows.layout import Layout
from rill_django.projections.rows.related import Related
from rill_django.projections.rows.settling import UNSURE

_OTHER_ATTRIBUTES = ("_state",)


class KeyChanged(RillError):
    """A handler has given its row another key."""


class NoSuchField(RillError, AttributeError):
    """A handler has set an attribute of its row that the model does not have."""


class Changes:
    """Finds what handlers have changed, and makes rows look as if they had just been loaded.

    Args:
        layout: of the rows.

    Attributes:
        related: what a row that is given to a handler has to keep other instances in, if it may.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = layout.names
        self._values_of = layout.values_of
        self._using = layout.using
        self._fixed = layout.fixed_indexes
        self.related = Related() if layout.has_relations else None
        self._may_be_sure = not layout.has_generated
        self._numbers = range(len(layout.columns))
        # A new row lacks the generated ones. A row of such a model is looked at closely each time.
        self._most_attributes = len(layout.names) + len(_OTHER_ATTRIBUTES)
        are_special = [
            column.is_mutable or index in layout.stamped_indexes
            for index, column in enumerate(layout.columns)
        ]
        self._settlers = [
            None if is_special else column.settle
            for column, is_special in zip(layout.columns, are_special, strict=True)
        ]
        self._unknown = [i for i, column in enumerate(layout.columns) if not column.is_known]

    def of(
        self,
        row: Instance,
        key: Key,
        before: Values,
        is_new: bool,
        others: Collection[str] = (),
    ) -> tuple[Values, list[int], bool] | None:
        """Look at a row that a handler was given, and bring what it has set to its stored form.

        Args:
            row: the instance.
            key: which row it is.
            before: its values before the handler was called.
            is_new: it was not there.
            others: attributes that it had before, and that are no columns.

        Returns:
            The row's values, the indexes of those that have changed, and whether all are sure; ``None``
            if it is as it was.

        Raises:
            KeyError: an attribute has been deleted.
            KeyChanged: the row has another key.
            OtherRowChanged: the handler has changed one to which this row refers.
            RowIsNotStored: a new row has been stored by the handler.
            NoSuchField: the handler has set an attribute that the model does not have.
        """
        attributes = row.__dict__
        if len(attributes) > self._most_attributes:
            self._prune(row, others)
        if self.related:
            self.related.refuse_changed()
            self.related.clear()
        after = self._values_of(attributes)
        # Most handlers set few of many fields: the others are passed over without a step of Python.
        touched: Iterable[int] = compress(self._numbers, map(is_not, before, after))
        if self._unknown:
            touched = sorted({*touched, *self._unknown})
        values: list[Any] | None = None
        changed: list[int] = []
        is_sure = True
        for index in touched:
            old, value = before[index], after[index]
            settle = self._settlers[index]
            found = settle(value) if settle else self._special(index, old, value)
            if found is UNSURE:
                is_sure = False
                changed.append(index)
                continue
            if found is not value:
                values = values or list(after)
                values[index] = found
                attributes[self._names[index]] = found.live if type(found) is Frozen else found
            if found is not old and found != old:  # NaN is not even itself.
                changed.append(index)
        if is_new:
            state = row._state
            if not state.adding:
                raise RowIsNotStored(self._layout.model._meta.label)
            state.adding = False
            state.db = self._using
        elif not changed:
            return None
        if not self._fixed.isdisjoint(changed):
            self._refuse_other_key(key, values or after, changed, is_new)
        if self._layout.stamped_indexes:
            values = values or list(after)
            is_sure = self._stamp(row, values, is_new) and is_sure
        return after if values is None else tuple(values), changed, is_sure and self._may_be_sure

    def _special(self, index: int, old: Any, value: Any) -> Any:
        """Settle a value that is not for handlers to set, or that they may change in place."""
        column = self._layout.columns[index]
        if index in self._layout.stamped_indexes:
            return value if old is UNSURE else old
        if column.is_json:
            return freeze(old, value, column.settle)
        return old if column.is_untouched(old, value) else UNSURE

    def _prune(self, row: Instance, others: Collection[str]) -> None:
        """Forget what is noted on an instance, and would not be loaded again; refuse slips of the pen.

        What the model's class has, e.g. a cached property, and names that begin with an underscore are
        somebody's notes. Any other name was meant to be a field.
        """
        attributes = row.__dict__
        for name in set(attributes).difference(self._layout.all_names, _OTHER_ATTRIBUTES):
            if not (name.startswith("_") or name in others or hasattr(type(row), name)):
                raise self._no_such_field(name)
            del attributes[name]

    def _no_such_field(self, name: str) -> NoSuchField:
        meta = self._layout.model._meta
        names = sorted({*self._layout.all_names, *(field.name for field in meta.concrete_fields)})
        close = get_close_matches(name, names, n=1)
        cure = f"Did you mean {close[0]}?" if close else f"It has {', '.join(names)}."
        return NoSuchField(
            f"The handler has set {name} on a row of {meta.label}, which has no such field, so that it would "
            f"be lost. {cure}"
        )

    def _refuse_other_key(
        self, key: Key, values: Sequence[Any], changed: Collection[int], is_new: bool
    ) -> None:
        layout = self._layout
        now = tuple(values[index] for index in layout.key_indexes)
        if now == key and (
            is_new or layout.fixed_indexes.intersection(changed) <= set(layout.key_indexes)
        ):
            return
        names = ", ".join(layout.names[index] for index in sorted(layout.fixed_indexes))
        raise KeyChanged(
            f"The handler has changed {names} of the row {', '.join(map(str, key))!r}, which say which "
            "row it is. Delete it, and create the other one: use keys= to get both."
        )

    def _stamp(self, row: Instance, values: list[Any], is_new: bool) -> bool:
        """Set the fields that tell when the row was made or changed; return whether they are sure."""
        is_sure = True
        for index in self._layout.stamped_indexes:
            column = self._layout.columns[index]
            given = column.field.pre_save(row, is_new)
            found = column.settle(given)
            is_sure = is_sure and found is not UNSURE
            values[index] = given if found is UNSURE else found
            row.__dict__[column.name] = values[index]
        return is_sure
