"""What a verification finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class RowDifference(NamedTuple):
    """A row that is not as the log says.

    Attributes:
        kind: ``missing`` (only in the rebuilt rows), ``extra`` (only in the live ones) or ``different``.
        key: values by which the rows were matched, or all of the row's if there is no key.
        columns: of a row that differs: live and rebuilt value of each column that does.
        times: so many rows of this kind are alike; more than 1 only without a key.
    """

    kind: str
    key: Mapping[str, Any]
    columns: Mapping[str, tuple[Any, Any]] = {}
    times: int = 1


class TableComparison(NamedTuple):
    """The live rows of one model, beside those made anew.

    Attributes:
        model: label, e.g. ``bank.Balance``.
        matched_by: columns by which rows are matched; empty: rows are compared as wholes.
        not_compared: columns that were left out: surrogate primary keys, and references to them.
        missing: number of rows that are not in the live table.
        extra: number of rows that should not be there.
        different: number of rows with other values.
        first: the first ones of each kind.
    """

    model: str
    matched_by: tuple[str, ...]
    not_compared: tuple[str, ...]
    missing: int
    extra: int
    different: int
    first: tuple[RowDifference, ...]

    @property
    def is_equal(self) -> bool:
        """Whether nothing was found."""
        return not (self.missing or self.extra or self.different)


class Verification(NamedTuple):
    """How a projection's live rows compare with those that the log gives.

    Attributes:
        projection: its name.
        position: of the live rows, and of those made anew; the highest one if it is split.
        tables: one for each model.
    """

    projection: str
    position: int
    tables: tuple[TableComparison, ...]

    @property
    def is_equal(self) -> bool:
        """Whether the live rows are as the log says."""
        return all(table.is_equal for table in self.tables)
