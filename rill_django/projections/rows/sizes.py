"""How much memory rows take up, so that long ones are not all loaded or kept at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import models

from rill_django.domain.records import RecordedEvent
from rill_django.projections.rows.entries import Entry, Key, Values
from rill_django.projections.rows.frozen import Frozen
from rill_django.projections.rows.layout import Layout
from rill_django.store.pages import PAGE_BYTES, bytes_of

MAX_BYTES = 2 * PAGE_BYTES
"""Most bytes of long values that rows in memory may have before they are written and forgotten."""

LONG = 1_000
"""Characters; a column that may hold more is looked at."""

FIRST_KEYS = 10
"""Rows that are loaded at once while nobody knows how long they are."""

_UNBOUNDED = (models.TextField, models.JSONField, models.BinaryField)


class Sizes:
    """Counts the bytes of rows in their long columns. Where a table has none, nothing is counted.

    Args:
        layout: the columns of the table.
    """

    def __init__(self, layout: Layout) -> None:
        self._long = [
            index
            for index, column in enumerate(layout.columns)
            if isinstance(column.target, _UNBOUNDED) or (column.target.max_length or 0) > LONG
        ]
        self._keys_at_once = FIRST_KEYS
        self.total = 0
        """Bytes of the rows in memory at most, as if all of an event stayed in its row."""

    def are_large(self, rows: Iterable[Entry]) -> bool:
        """Whether the rows in memory should be forgotten. They are measured only if that may be."""
        if self.total <= MAX_BYTES:
            return False
        self.total = sum(map(self._length, (one.values for one in rows)))
        return self.total > MAX_BYTES // 2

    def slices(self, read: Sequence[Sequence[Key]]) -> Iterator[slice]:
        """Cut events into stretches whose rows may be loaded at once.

        Args:
            read: the keys of each event's rows. Those of one event stay together.
        """
        if not self._long:
            yield slice(0, len(read))
            return
        start = keys = 0
        for index, of_one in enumerate(read):
            if keys and keys + len(of_one) > self._keys_at_once:
                yield slice(start, index)
                start, keys = index, 0
            keys += len(of_one)
        yield slice(start, len(read))

    def note_loaded(self, rows: Iterable[Values]) -> None:
        """Count rows that were loaded, and take note of how long they are."""
        if not self._long:
            return
        sizes = [self._length(values) for values in rows]
        if not sizes:
            return
        loaded = sum(sizes)
        self.total += loaded
        fitting = PAGE_BYTES * len(sizes) // max(loaded, 1)
        # No faster than fourfold: the next ones may be longer.
        self._keys_at_once = max(min(fitting, self._keys_at_once * 4), 1)

    def _length(self, values: Values) -> int:
        return sum([_length(values[index]) for index in self._long])

    def note_events(self, events: Iterable[RecordedEvent]) -> None:
        """Count what events may have brought into their rows."""
        if self._long:
            self.total += bytes_of(event.stored for event in events)


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return len(value.text) if isinstance(value, Frozen) else 0
