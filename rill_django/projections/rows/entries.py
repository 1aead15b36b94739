"""A row in memory."""

from __future__ import annotations

from typing import Any, TypeAlias

Key: TypeAlias = tuple[Any, ...]
"""Values of the fields that identify a row."""
Values: TypeAlias = tuple[Any, ...]
"""Values of all columns of a row, as the database gives or will give them back."""
Instance: TypeAlias = Any
"""What handlers see of a row: an instance of the projection's model."""


class Entry:
    """A row, as handlers see it and as it was.

    Attributes:
        row: the instance; ``None``: there is none.
        values: of all columns, after the last handler.
        stored: what the database has; ``None`` if it has to be inserted.
        is_doomed: what the database has is to be deleted first.
        is_sure: the instance looks as if it had just been loaded: no value has to be asked from the
            database.
    """

    __slots__ = ("is_doomed", "is_sure", "row", "stored", "values")

    def __init__(self, row: Instance, values: Values, stored: Values | None) -> None:
        self.row = row
        self.values = values
        self.stored = stored
        self.is_doomed = False
        self.is_sure = True
