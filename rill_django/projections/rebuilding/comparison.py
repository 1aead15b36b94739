"""Compares two tables of one model, in the standard SQL that all databases share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.differences import RowDifference, TableComparison
from rill_django.projections.rebuilding.matching import Column, Matching
from rill_django.projections.rebuilding.places import Sides
from rill_django.projections.rebuilding.tables import Model

_NO_EQUALITY = frozenset({"json", "xml", "point", "polygon", "path", "box"})


class TableComparer:
    """Compares the live table of a model with the one beside.

    Args:
        sides: what the tables of all models of the projection are called.
        most: how many rows of each kind are reported.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        model: Model,
        matching: Matching,
        sides: Mapping[Model, Sides],
        most: int,
    ) -> None:
        self._connection = connection
        self._model = model
        self._matching = matching
        self._sides = sides
        self._most = most
        self._columns = [*matching.key, *matching.others]
        self._keys = range(len(matching.key))
        self._others = range(len(matching.key), len(self._columns))

    def compare(self) -> TableComparison:
        """Return what differs."""
        with self._connection.cursor() as cursor:
            found = self._by_key(cursor) if self._matching.key else self._as_wholes(cursor)
        counts, first = found
        return TableComparison(
            self._model._meta.label,
            tuple(column.name for column in self._matching.key),
            self._matching.not_compared,
            counts["missing"],
            counts["extra"],
            counts["different"],
            tuple(first),
        )

    def _by_key(self, cursor: CursorWrapper) -> tuple[dict[str, int], list[RowDifference]]:
        live, beside = self._rows("live"), self._rows("beside")
        same_key = " AND ".join(self._same(number) for number in self._keys)
        unlike = " OR ".join(f"NOT ({self._same(number, True)})" for number in self._others)
        counts: dict[str, int] = {}
        first: list[RowDifference] = []
        names = [column.name for column in self._columns]
        for kind, one, other in (("missing", "b", "l"), ("extra", "l", "b")):
            tables = {"l": f"({live}) l", "b": f"({beside}) b"}
            source = (
                f"FROM {tables[one]} LEFT JOIN {tables[other]} ON {same_key} "
                f"WHERE {other}.present IS NULL"
            )
            counts[kind], rows = self._ask(cursor, source, [f"{one}.c{n}" for n in self._keys])
            first += [RowDifference(kind, dict(zip(names, row, strict=False))) for row in rows]
        counts["different"] = 0
        if unlike:
            both = [f"{side}.c{n}" for side in "lb" for n in range(len(names))]
            source = f"FROM ({live}) l JOIN ({beside}) b ON {same_key} WHERE {unlike}"
            counts["different"], rows = self._ask(cursor, source, both)
            first += [self._difference(row) for row in rows]
        return counts, first

    def _difference(self, row: Sequence[Any]) -> RowDifference:
        half = len(self._columns)
        names = [column.name for column in self._columns]
        pairs = {names[n]: (row[n], row[half + n]) for n in self._others}
        return RowDifference(
            "different",
            {names[n]: row[n] for n in self._keys},
            {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        )

    def _ask(
        self, cursor: CursorWrapper, source: str, columns: Sequence[str]
    ) -> tuple[int, list[Sequence[Any]]]:
        cursor.execute(f"SELECT COUNT(*) {source}")
        (number,) = cursor.fetchone()
        if not number:
            return 0, []
        order = ", ".join(columns[: len(self._keys)])
        cursor.execute(
            f"SELECT {', '.join(columns)} {source} ORDER BY {order} LIMIT {self._most:d}"
        )
        return number, list(cursor.fetchall())

    def _as_wholes(self, cursor: CursorWrapper) -> tuple[dict[str, int], list[RowDifference]]:
        """Count how often each row is on either side: there may be several that are alike."""
        columns = ", ".join(f"c{n}" for n in range(len(self._columns)))
        both = " UNION ALL ".join(
            f"SELECT {columns}, {sign} AS present FROM ({self._rows(side)}) {side}_rows"
            for side, sign in (("live", 1), ("beside", -1))
        )
        groups = (
            f"SELECT {columns}, SUM(present) AS surplus FROM ({both}) both_sides "
            f"GROUP BY {columns} HAVING SUM(present) <> 0"
        )
        counts = {"different": 0}
        first: list[RowDifference] = []
        names = [column.name for column in self._columns]
        for kind, sign in (("missing", "<"), ("extra", ">")):
            source = f"FROM ({groups}) unequal WHERE surplus {sign} 0"
            cursor.execute(f"SELECT COALESCE(SUM(ABS(surplus)), 0) {source}")
            counts[kind] = int(cursor.fetchone()[0])
            if counts[kind]:
                cursor.execute(
                    f"SELECT {columns}, surplus {source} ORDER BY {columns} LIMIT {self._most:d}"
                )
                first += [
                    RowDifference(
                        kind, dict(zip(names, row, strict=False)), times=abs(int(row[-1]))
                    )
                    for row in cursor.fetchall()
                ]
        return counts, first

    def _same(self, number: int, always_null_safe: bool = False) -> str:
        left, right = f"l.c{number}", f"b.c{number}"
        if not (self._columns[number].is_nullable or always_null_safe):
            return f"{left} = {right}"
        if self._connection.vendor == "mysql":
            return f"{left} <=> {right}"
        operator = "IS" if self._connection.vendor == "sqlite" else "IS NOT DISTINCT FROM"
        return f"{left} {operator} {right}"

    def _rows(self, side: str) -> str:
        """Return a query for the rows of one side, with columns c0, c1, … and `present`."""
        quote = self._connection.ops.quote_name
        joins: dict[tuple[Any, ...], str] = {}
        clauses: list[str] = []

        def table(path: tuple[Any, ...]) -> str:
            """Return the alias of the table that a path of foreign keys leads to."""
            if not path:
                return "t"
            if path not in joins:
                above = table(path[:-1])
                field = path[-1]
                alias = joins[path] = f"j{len(joins)}"
                target = field.target_field
                parent = target.model._meta.concrete_model
                clauses.append(
                    f"LEFT JOIN {getattr(self._sides[parent], side)} {alias} "
                    f"ON {alias}.{quote(target.column)} = {above}.{quote(field.column)}"
                )
            return joins[path]

        values = [
            self._value(column, f"{table(column.path[:-1])}.{quote(column.field.column)}")
            for column in self._columns
        ]
        named = "".join(f"{value} AS c{number}, " for number, value in enumerate(values))
        own = getattr(self._sides[self._model], side)
        return f"SELECT {named}1 AS present FROM {own} t {' '.join(clauses)}"

    def _value(self, column: Column, sql: str) -> str:
        kind = (column.field.db_type(self._connection) or "").partition("(")[0]
        if self._connection.vendor == "postgresql" and kind in _NO_EQUALITY:
            return f"CAST({sql} AS text)"
        return sql
