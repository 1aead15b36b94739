"""Proof that statements mean the tables beside on PostgreSQL, and nothing else.

`search_path` is a setting of the session, and others may set it, too. So what names mean is looked at
before and after, on cursors opened like those of the handlers; and the locks that the transaction holds in
the end tell of every live table that a statement has read or changed, whatever the path was in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.errors import LiveRowsTouched
from rill_django.projections.rebuilding.postgresql_names import (
    Table,
    find_tables,
    quoted,
    search_path_before,
)
from rill_django.store.postgresql_cursors import prepared_cursors, sets_path_itself

_LOCKS = """
SELECT DISTINCT l.relation FROM pg_locks l
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = ANY (%s)
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_PUT_FIRST = """
SELECT set_config('search_path', concat_ws(', ', %s::text, nullif(path, '')), true)
FROM current_setting('search_path') AS path WHERE NOT starts_with(path, %s)
"""


class Proof:
    """That names mean the tables beside, and that live ones are left alone.

    Args:
        projection: name of the projection, for errors.
        connection: inside a transaction.
        live: the live tables.
        schema: of the tables beside.
    """

    def __init__(
        self, projection: str, connection: BaseDatabaseWrapper, live: Sequence[Table], schema: str
    ) -> None:
        self._projection = projection
        self._connection = connection
        self._live = live
        self._schema = schema

    @contextmanager
    def only_beside(self, cursor: CursorWrapper) -> Iterator[None]:
        """Have statements mean the tables beside inside the ``with`` block, on all cursors.

        Raises:
            LiveRowsTouched: they did not; the transaction must not be committed.
        """
        before = self._locked(cursor)
        with search_path_before(cursor, self._schema), self._on_all_cursors():
            self._look()
            yield
            self._look()
        if touched := self._locked(cursor) - before:
            tables = ", ".join(one.quoted for one in self._live if one.oid in touched)
            raise LiveRowsTouched(self._projection, f"a statement has read or changed {tables}.")

    @contextmanager
    def _on_all_cursors(self) -> Iterator[None]:
        """Put the schema first also where the backend sets the path with every cursor."""
        if not sets_path_itself(self._connection):
            yield
            return
        first = quoted(self._schema)

        def put_first(cursor: Any) -> None:
            cursor.execute(_PUT_FIRST, (first, first))

        with prepared_cursors(self._connection, put_first):
            yield

    def _look(self) -> None:
        with self._connection.cursor() as cursor:
            found = find_tables(cursor, [one.name for one in self._live])
        wrong = [one.quoted for one in found if one.schema != self._schema]
        if wrong or len(found) < len(self._live):
            meant = ", ".join(wrong) or "nothing"
            raise LiveRowsTouched(
                self._projection,
                f"names do not mean the tables in the schema {self._schema}, but {meant}.",
            )

    def _locked(self, cursor: CursorWrapper) -> set[int]:
        cursor.execute(_LOCKS, ([one.oid for one in self._live],))
        return {oid for (oid,) in cursor.fetchall()}
