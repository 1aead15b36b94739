"""What a handler has changed in a row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rill_django.domain.errors import RillError
from rill_django.projections.rows.entries import Instance, Key, Values
from rill_django.projections.rows.frozen import Frozen, freeze
from rill_django.projections.rows.layout import Layout
from rill_django.projections.rows.settling import UNSURE


class KeyChanged(RillError):
    """A handler has given its row another key."""


class Changes:
    """Finds what handlers have changed, and makes rows look as if they had just been loaded.

    Args:
        layout: of the rows.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns = layout.columns
        self._settlers = [column.settle for column in layout.columns]
        self._numbers = range(len(layout.columns))
        self._are_watched = [column.is_mutable for column in layout.columns]
        self._special = layout.stamped_indexes.union(
            index for index, is_watched in enumerate(self._are_watched) if is_watched
        )

    def of(
        self, row: Instance, key: Key, before: Values, *, is_new: bool
    ) -> tuple[Values, list[int], bool] | None:
        """Look at a row that a handler was given.

        Returns:
            The row's values, which of them have changed, and whether all are sure; ``None`` if it is as
            it was.

        Raises:
            KeyError: an attribute has been deleted.
            KeyChanged: the row has another key.
        """
        layout = self._layout
        attributes = row.__dict__
        if layout.has_relations and row._state.__dict__.get("fields_cache"):
            row._state.fields_cache.clear()
        after = layout.values_of(attributes)
        touched = [
            index
            for index, old, value, is_watched in zip(
                self._numbers, before, after, self._are_watched, strict=True
            )
            if old is not value or is_watched
        ]
        if is_new:
            state = row._state
            state.adding = False
            state.db = layout.using
        elif not touched:
            return None
        values, changed, is_sure = self._settle(attributes, touched, before, after)
        if not changed and not is_new:
            return None
        if changed and not layout.fixed_indexes.isdisjoint(changed):
            self._refuse_other_key(key, values, changed, is_new=is_new)
        if layout.stamped_indexes:
            is_sure = self._stamp(row, values, is_new) and is_sure
        return tuple(values), changed, is_sure and not layout.has_generated

    def _settle(
        self, attributes: dict[str, Any], touched: list[int], before: Values, after: Values
    ) -> tuple[list[Any], list[int], bool]:
        """Bring attributes to the form in which they will be loaded.

        Returns:
            A snapshot of all of them, which of them have changed, and whether all are sure.
        """
        values = list(after)
        changed: list[int] = []
        is_sure = True
        for index in touched:
            old, value = before[index], after[index]
            if index not in self._special:
                found = live = self._settlers[index](value)
            elif index in self._layout.stamped_indexes:
                # Not for handlers to set.
                if old is not UNSURE:
                    attributes[self._columns[index].name] = values[index] = old
                continue
            elif self._columns[index].is_json:
                found = freeze(old, value, self._settlers[index])
                live = found.live if isinstance(found, Frozen) else found
            elif self._columns[index].is_untouched(old, value):
                continue
            else:
                found = live = UNSURE
            if found is UNSURE:
                is_sure = False
                changed.append(index)
                continue
            values[index] = found
            if live is not value:
                attributes[self._columns[index].name] = live
            if old is UNSURE or found != old:
                changed.append(index)
        return values, changed, is_sure

    def prune(self, attributes: dict[str, Any]) -> None:
        """Forget what handlers have noted on an instance: it would not be loaded again."""
        for name in set(attributes).difference(self._layout.all_names, ("_state",)):
            del attributes[name]

    def _refuse_other_key(
        self, key: Key, values: list[Any], changed: Collection[int], *, is_new: bool
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
            column = self._columns[index]
            given = column.field.pre_save(row, is_new)
            found = column.settle(given)
            is_sure = is_sure and found is not UNSURE
            values[index] = given if found is UNSURE else found
            row.__dict__[column.name] = values[index]
        return is_sure
