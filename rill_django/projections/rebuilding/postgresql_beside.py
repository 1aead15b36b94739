"""The schema with the tables beside on PostgreSQL, and what is noted of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db import DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.projections.rebuilding.postgresql_definitions import definitions
from rill_django.projections.rebuilding.postgresql_names import (
    Table,
    find_tables,
    quoted,
    tables_in,
)
from rill_django.projections.rebuilding.postgresql_privileges import (
    equalise_privileges,
    name_sequences_alike,
)
from rill_django.projections.rebuilding.postgresql_replication import is_replicated

LOCK_TIMEOUT = "200ms"
"""How long readers may be kept waiting behind our wait for the tables."""

_GONE = frozenset({"3F000", "42P01"})  # No such schema, no such table.

_BEGUN = "rill_django_begun"
"""A table with one row. It is empty when the server, after a crash, has emptied unlogged tables."""


class SchemaBeside:
    """Tables with the names of the live ones, in a schema of their own.

    What is noted of them is the schema's comment, which goes with it and needs no table: a digest of their
    definitions, and how their rows are divided.

    Args:
        using: alias of the database.
        schema: its name.
        names: of the tables.
        triggers_if_copied: whether they have the live tables' triggers also if their rows are to be copied.
    """

    def __init__(
        self, using: str, schema: str, names: Sequence[str], *, triggers_if_copied: bool
    ) -> None:
        self._using = using
        self._name = schema
        self._names = names
        self._triggers_if_copied = triggers_if_copied

    def _cursor(self) -> CursorWrapper:
        cursor: CursorWrapper = connections[self._using].cursor()
        return cursor

    @property
    def _quoted(self) -> str:
        return quoted(self._name)

    @property
    def _begun(self) -> str:
        return f"{self._quoted}.{_BEGUN}"

    def make(self) -> None:
        """Make empty tables; what was there before goes."""
        with transaction.atomic(using=self._using), self._cursor() as cursor:
            # A foreign key to a table of others locks that one, for a moment.
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            self.drop()
            cursor.execute(f"CREATE SCHEMA {self._quoted}")
            statements = self._statements()
            for statement in statements:
                cursor.execute(statement)
            is_unlogged = any(one.startswith("CREATE UNLOGGED") for one in statements)
            kind = "UNLOGGED TABLE" if is_unlogged else "TABLE"
            cursor.execute(f"CREATE {kind} {self._begun} AS SELECT true AS is_begun")
            self._note(_digest(statements))
            for live, beside in self.pairs():
                name_sequences_alike(cursor, live, beside)
                equalise_privileges(cursor, live, beside)

    def _statements(self) -> list[str]:
        with self._cursor() as cursor:
            tables = find_tables(cursor, self._names)
            unlogged = is_replicated(cursor, tables)
            triggers = self._triggers_if_copied or not unlogged
            return definitions(cursor, tables, self._name, unlogged=unlogged, triggers=triggers)

    def drop(self) -> None:
        """Remove the schema with all that is left in it."""
        with transaction.atomic(using=self._using), self._cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {self._quoted} CASCADE")

    def drop_when_moved(self, cursor: CursorWrapper) -> None:
        """Remove the schema, from which all has been moved: an error if there is still something."""
        cursor.execute(f"DROP TABLE {self._begun}")
        cursor.execute(f"DROP SCHEMA {self._quoted}")

    def pairs(self) -> list[tuple[Table, Table]]:
        """Return each live table with the one beside.

        Raises:
            RowsBesideLost: these are no longer there.
        """
        with self._cursor() as cursor:
            live = find_tables(cursor, self._names)
            beside = tables_in(cursor, self._name, self._names)
        if len(beside) < len(live):
            raise self._lost()
        return list(zip(live, beside, strict=True))

    def lock(self, cursor: CursorWrapper) -> None:
        """Keep the tables from being dropped until the end of the transaction.

        Raises:
            RowsBesideLost: they are no longer there, or the server has emptied them.
        """
        tables = ", ".join(f"{self._quoted}.{quoted(name)}" for name in self._names)
        try:
            cursor.execute(f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE")
            is_whole = self._is_whole()
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", None) in _GONE:
                raise self._lost() from error
            raise
        if not is_whole:
            raise self._lost()

    def analyze(self, cursor: CursorWrapper) -> None:
        """Make statistics."""
        for name in self._names:
            cursor.execute(f"ANALYZE {self._quoted}.{quoted(name)}")

    def is_as_left(self) -> bool:
        """Whether the tables are of the form that the live ones have now, with all rows they were given."""
        with transaction.atomic(using=self._using):
            digest, _ = self._noted()
            return digest == _digest(self._statements()) and self._is_whole()

    def _is_whole(self) -> bool:
        with self._cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {self._begun})")
            return bool(cursor.fetchone()[0])

    @property
    def division(self) -> str:
        """How the rows are divided among those who build them."""
        _, division = self._noted()
        return division

    def note_division(self, division: str) -> None:
        """Keep how they are divided from now on.

        Raises:
            RowsBesideLost: there is no such schema.
        """
        digest, _ = self._noted()
        if not digest:
            raise self._lost()
        self._note(f"{digest}, {division}" if division else digest)

    def _noted(self) -> tuple[str, str]:
        """Return the digest of the tables' definitions, and the division."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s",
                (self._name,),
            )
            (comment,) = cursor.fetchone() or ("",)
        digest, _, division = (comment or "").partition(", ")
        return digest, division

    def _note(self, comment: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(f"COMMENT ON SCHEMA {self._quoted} IS '{comment}'")

    def _lost(self) -> RowsBesideLost:
        return RowsBesideLost(f"The schema {self._name} has gone meanwhile, or was emptied.")


def _digest(statements: Sequence[str]) -> str:
    text = "\n".join((_BEGUN, *statements)).encode()
    return f"rill_django: {hashlib.blake2b(text, digest_size=16).hexdigest()}"
