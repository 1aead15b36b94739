"""Loading and writing rows, as PostgreSQL does it fastest.

Columns travel as arrays, in PostgreSQL's own text form, which is made here: a driver's conversion of
each single value takes as long as all the rest. Tables are named without their schema, so that a
connection's ``search_path`` says where they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Func
from django.db.models.sql.compiler import SQLCompiler

from rill_django.projections.rows.columns import Column
from rill_django.projections.rows.entries import Entry, Key
from rill_django.projections.rows.frozen import Frozen
from rill_django.projections.rows.tables import RowsVanished, RowTable, chunks

ROWS_AT_ONCE = 10_000
"""Rows in one statement."""
ROWS_PER_MESSAGE = 250
"""Rows in one message of a COPY: the server writes these while the next ones are put together."""

_WITHOUT_LENGTH = {"char": "bpchar", "character": "bpchar", "bit": "varbit"}
"""Types of one character, if no length is said, and what they are for any length."""

_QUOTED = (models.CharField, models.TextField, models.JSONField)


class PostgreSQLTable(RowTable):
    """See `RowTable`."""

    def matching(self, keys: Iterable[Key]) -> Iterator[models.QuerySet[Any]]:
        """See `RowTable.matching`."""
        columns = [self.layout.columns[index] for index in self.layout.key_indexes]
        if not all(column.is_known for column in columns):
            yield from super().matching(keys)
            return
        for some in chunks(keys, ROWS_AT_ONCE):
            arrays = [
                array(self._types[index], texts(column, values))
                for index, column, values in zip(
                    self.layout.key_indexes, columns, zip(*some, strict=True), strict=True
                )
            ]
            types = [self._types[index].name for index in self.layout.key_indexes]
            yield self._rows.filter(_Among(self.layout.key_names, types, arrays))

    def insert(self, rows: Sequence[Entry]) -> None:
        """See `RowTable.insert`."""
        unsure = [one for one in rows if not one.is_sure]
        if unsure:
            # All of them, so that automatic keys are given in order.
            super().insert(rows)
            return
        given: list[int] = list(range(len(self.layout.names)))
        for index in self.layout.primary_key_indexes:
            if all(one.values[index] is None for one in rows):
                given.remove(index)
        if any(
            one.values[index] is None
            for index in self.layout.primary_key_indexes
            if index in given
            for one in rows
        ):
            super().insert(rows)
            return
        connection = connections[self.layout.using]
        names = ", ".join(self._quoted[index] for index in given)
        statement = f"COPY {self._quoted_table} ({names}) FROM STDIN"
        connection.validate_no_broken_transaction()
        with (
            connection.cursor() as cursor,
            connection.wrap_database_errors,
            cursor.cursor.copy(statement) as copy,
        ):
            for some in chunks(rows, ROWS_PER_MESSAGE):
                columns = list(zip(*(one.values for one in some), strict=True))
                lines = zip(*(self._copied(index, columns[index]) for index in given), strict=True)
                copy.write("\n".join(map("\t".join, lines)) + "\n")

    def _copied(self, index: int, values: Sequence[Any]) -> list[str]:
        found = texts(self.layout.columns[index], values)
        if self._types[index].is_quoted:
            return [r"\N" if one is None else escaped(one) for one in found]
        return [r"\N" if one is None else one for one in found]

    def update(self, rows: Sequence[Entry]) -> None:
        """See `RowTable.update`."""
        sure = [one for one in rows if one.is_sure]
        unsure = [one for one in rows if not one.is_sure]
        if unsure:
            super().update(unsure)
        for start in range(0, len(sure), ROWS_AT_ONCE):
            self._update(sure[start : start + ROWS_AT_ONCE])

    def _update(self, rows: Sequence[Entry]) -> None:
        changed = self.changed_indexes(rows)
        given = [*self.layout.key_indexes, *changed]
        columns = list(zip(*(one.values for one in rows), strict=True))
        arrays = [array(self._types[i], texts(self.layout.columns[i], columns[i])) for i in given]
        quoted = self._quoted
        table = self._quoted_table
        statement = (
            f"UPDATE {table} SET {', '.join(f'{quoted[i]} = new.{quoted[i]}' for i in changed)} "
            f"FROM {unnested(self._types[i].name for i in given)} "
            f"AS new ({', '.join(quoted[i] for i in given)}) "
            f"WHERE {' AND '.join(f'{table}.{quoted[i]} = new.{quoted[i]}' for i in self.layout.key_indexes)}"
        )
        with connections[self.layout.using].cursor() as cursor:
            cursor.execute(statement, arrays)
            if cursor.rowcount != len(rows):
                raise RowsVanished(
                    f"{len(rows) - cursor.rowcount} rows of {self.layout.model._meta.label} were deleted by "
                    "somebody else. Only its projection may write to it; rebuild it."
                )

    @cached_property
    def _types(self) -> list[_Type]:
        connection = connections[self.layout.using]
        return [_Type(column, connection) for column in self.layout.columns]

    @cached_property
    def _quoted(self) -> list[str]:
        quote = connections[self.layout.using].ops.quote_name
        return [quote(column.field.column or "") for column in self.layout.columns]

    @cached_property
    def _quoted_table(self) -> str:
        quoted: str = connections[self.layout.using].ops.quote_name(
            self.layout.model._meta.db_table
        )
        return quoted


class _Type:
    """The database's type of a column.

    Attributes:
        name: without length or precision, which are the column's own affair.
        is_quoted: its text may have characters that mean something in an array or a COPY.
    """

    def __init__(self, column: Column, connection: BaseDatabaseWrapper) -> None:
        name = (column.field.db_type(connection) or "").partition("(")[0]
        self.name = _WITHOUT_LENGTH.get(name.lower(), name)
        self.is_quoted = isinstance(column.target, _QUOTED)


class _Among(Func):
    """Whether a row's key is among those in the arrays."""

    output_field = models.BooleanField()

    def __init__(self, names: Sequence[str], types: Sequence[str], arrays: Sequence[str]) -> None:
        super().__init__(*map(models.F, names))
        self._types = types
        self._arrays = arrays

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> Any:  # type: ignore[override]
        columns = [compiler.compile(one)[0] for one in self.get_source_expressions()]
        wanted = f"SELECT * FROM {unnested(self._types)}"
        return f"({', '.join(columns)}) IN ({wanted})", list(self._arrays)


def unnested(types: Iterable[str]) -> str:
    """Return SQL for rows whose columns are parameters: arrays of these types.

    Each is hidden from the planner in a query of its own. If it saw how many rows there are, it would
    read all of a table of a million to find some thousands by their keys.
    """
    return f"unnest({', '.join(f'(SELECT %s::{type}[])' for type in types)})"


def texts(column: Column, values: Sequence[Any]) -> list[str | None]:
    """Return settled values in PostgreSQL's text form."""
    if column.is_json:
        return [one.text if isinstance(one, Frozen) else None for one in values]
    if isinstance(column.target, models.DurationField):
        return [None if one is None else interval(one) for one in values]
    if isinstance(column.target, (models.CharField, models.TextField)):
        return list(values)
    return [None if one is None else str(one) for one in values]


def interval(value: timedelta) -> str:
    """Return a duration as PostgreSQL writes it."""
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def array(type: _Type, values: Sequence[str | None]) -> str:
    """Return an array of texts as PostgreSQL writes it."""
    if not type.is_quoted:
        return "{" + ",".join(["NULL" if one is None else one for one in values]) + "}"
    quoted = [
        "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for one in values
    ]
    return "{" + ",".join(quoted) + "}"


def escaped(value: str) -> str:
    """Return a text as COPY wants it."""
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\\", "\\\\").replace("\n", "\\n")
        return value.replace("\t", "\\t").replace("\r", "\\r")
    return value
