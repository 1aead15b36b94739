"""A row in memory."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Key: TypeAlias = tuple[Any, ...]
"""Values of the fields that identify a row."""
Values: TypeAlias = tuple[Any, ...]
"""Values of all columns of a row, as the database gives or will give them back."""
Instance: TypeAlias = Any
"""What handlers see of a row: an instance of the projection's model."""


class Entry(msgspec.Struct, eq=False):
    """A row, as handlers see it and as it was.

    Attributes:
        key: which row it is.
        row: the instance; ``None``: there is none.
        values: of all columns, after the last handler.
        stored: what the database has; ``None`` if it has to be inserted.
        is_doomed: what the database has is to be deleted first.
        is_sure: the instance looks as if it had just been loaded: no value has to be asked from the
            database.
        is_dirty: it is among those to be written.
    """

    key: Key
    row: Instance
    values: Values
    stored: Values | None
    is_doomed: bool = False
    is_sure: bool = True
    is_dirty: bool = False
