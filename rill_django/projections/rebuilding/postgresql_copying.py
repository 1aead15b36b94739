"""Rows that are copied into the live tables on PostgreSQL: those that differ, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.postgresql_names import Table, quoted
from rill_django.projections.rebuilding.postgresql_privileges import continue_sequences

_KEY = """
SELECT a.attname FROM pg_constraint x
JOIN pg_attribute a ON a.attrelid = x.conrelid AND a.attnum = ANY (x.conkey)
WHERE x.contype = 'p' AND x.conrelid = %s ORDER BY a.attnum
"""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""

_CHECKED_AT_ONCE = """
SELECT EXISTS (
    SELECT FROM pg_constraint WHERE contype = 'f' AND NOT condeferrable
    AND conrelid = ANY (%(oids)s) AND confrelid = ANY (%(oids)s))
"""


def copy_rows(cursor: CursorWrapper, pairs: Sequence[tuple[Table, Table]]) -> None:
    """Make live tables like those beside: whoever is told of changes, is told of what differs, and no more.

    Args:
        pairs: live table and the one beside, those that others refer to first.

    Raises:
        IntegrityError: a row refers to one that is not there.
    """
    cursor.execute(_CHECKED_AT_ONCE, {"oids": [live.oid for live, _ in pairs]})
    (is_checked_at_once,) = cursor.fetchone()
    keys = {}
    for live, _ in pairs:
        cursor.execute(_KEY, (live.oid,))
        keys[live] = [] if is_checked_at_once else [quoted(name) for (name,) in cursor.fetchall()]
    # Rows may refer to each other in any order; at the end all of them are there.
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    for live, beside in reversed(pairs):
        # All that differ go first, so that unique values may wander from row to row.
        same = f"{_same(keys[live])} AND record_image_eq(b, l)"
        where = f" WHERE NOT EXISTS (SELECT FROM {beside.quoted} b WHERE {same})"
        cursor.execute(f"DELETE FROM {live.quoted} l" + (where if keys[live] else ""))
    for live, beside in pairs:
        cursor.execute(_COLUMNS, (live.oid,))
        columns = ", ".join(quoted(name) for (name,) in cursor.fetchall())
        missing = f" WHERE NOT EXISTS (SELECT FROM {live.quoted} l WHERE {_same(keys[live])})"
        cursor.execute(
            f"INSERT INTO {live.quoted} ({columns}) OVERRIDING SYSTEM VALUE "
            f"SELECT {columns} FROM {beside.quoted} b" + (missing if keys[live] else "")
        )
        continue_sequences(cursor, live, live)
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"b.{name} = l.{name}" for name in key)
