"""What is peculiar to SQLite: one writer at a time, so an append can give the positions at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain
from typing import Any

import msgspec
from django.db import IntegrityError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import (
    EVENTS,
    POSITIONS,
    UNSEQUENCED,
    Dialect,
    Look,
    Pass,
    Row,
    expected_versions,
)
from rill_django.store.floor import Floor
from rill_django.store.moments import utc_text
from rill_django.store.protocol import Waiting
from rill_django.store.sqlite_guards import SQLiteGuards

ROWS_PER_STATEMENT = 5_000
"""Six values each, and SQLite takes 32,766 in one statement."""

_INSERT = f"INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)"

_IF_IT_IS_AT = f"WHERE coalesce((SELECT max(version) FROM {EVENTS} WHERE stream = %s), -1) = %s"

_IF_ALL_ARE_AT = f"""
WHERE NOT EXISTS (
    SELECT 1 FROM json_each(%s) AS wanted
    WHERE wanted.value <> coalesce(
        (SELECT max(version) FROM {EVENTS} WHERE stream = wanted.key), -1))
"""

# Ids grow by one, since there is one writer at a time.
_POSITIONS = f"""
INSERT INTO {POSITIONS} (position, event_id)
SELECT coalesce((SELECT max(position) FROM {POSITIONS}), 0) + row_number() OVER (ORDER BY id), id
FROM {EVENTS} WHERE id > %s
"""

# Events may come here with their queue, from a dump of another database.
_POSITIONS_OF_QUEUED = f"""
INSERT INTO {POSITIONS} (position, event_id)
SELECT coalesce((SELECT max(position) FROM {POSITIONS}), 0) + row_number() OVER (ORDER BY event_id),
       event_id
FROM {UNSEQUENCED}
"""


class SQLite(Dialect):
    """See `Dialect`."""

    vendor = "sqlite"
    sequences_on_append = True
    appends_in_one_statement = False
    log_source = f"{POSITIONS} p CROSS JOIN {EVENTS} e ON e.id = p.event_id"
    guards = SQLiteGuards()

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """See `Dialect.append`. The database's clock is this process's own."""
        now = datetime.now(timezone.utc)
        # Once: writing a time takes longer than all else that is done for a row here.
        now_text = utc_text(now)
        values = [
            (*row[:5], utc_text(row.recorded_at) if row.recorded_at else now_text) for row in rows
        ]
        first, rest = values[:ROWS_PER_STATEMENT], values[ROWS_PER_STATEMENT:]
        condition, expected = _condition(expected_versions(rows))
        cursor.execute(
            f"{_INSERT} SELECT * FROM (VALUES {_places(first)}) {condition}",
            (*_flat(first), *expected),
        )
        if cursor.rowcount != len(first):
            return None
        for start in range(0, len(rest), ROWS_PER_STATEMENT):
            some = rest[start : start + ROWS_PER_STATEMENT]
            cursor.execute(f"{_INSERT} VALUES {_places(some)}", _flat(some))
        cursor.execute(_POSITIONS, (cursor.lastrowid - len(rows),))
        return now

    def look(self, cursor: CursorWrapper, floor: Floor) -> Look:
        """See `Dialect.look`."""
        cursor.execute(
            f"SELECT (SELECT MAX(position) FROM {POSITIONS}), "
            f"(SELECT MIN(event_id) FROM {UNSEQUENCED})"
        )
        last, first = cursor.fetchone()
        return Look(last or 0, None, first)

    def last_waiting(self, cursor: CursorWrapper, floor: Floor) -> int | None:
        """See `Dialect.last_waiting`."""
        cursor.execute(f"SELECT MAX(event_id) FROM {UNSEQUENCED}")
        found: int | None = cursor.fetchone()[0]
        return found

    def waiting(self, cursor: CursorWrapper, floor: Floor) -> Waiting:
        """See `Dialect.waiting`."""
        age = "(julianday('now') - julianday(e.recorded_at)) * 86400"

        def queue(limit: int) -> str:
            return f"SELECT event_id FROM {UNSEQUENCED} ORDER BY event_id LIMIT {limit:d}"

        return self._count_waiting(cursor, queue, age)

    def sequence(self, connection: BaseDatabaseWrapper, floor: Floor) -> Pass:
        """Give positions to what others have queued: `append` leaves nothing to do."""
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(_POSITIONS_OF_QUEUED)
            cursor.execute(f"DELETE FROM {UNSEQUENCED}")
        return Pass.DONE

    def begins_anew(self, error: OperationalError) -> bool:
        """See `Dialect.begins_anew`. The others have kept the only write lock for too long."""
        return "database is locked" in str(error)

    def is_lost_race(self, error: IntegrityError) -> bool:
        """Never: the statement that checks the version holds the only write lock."""
        return False


def _condition(expected: Mapping[str, int]) -> tuple[str, Sequence[Any]]:
    """Return the condition that streams are at these versions, in the leanest form, with its parameters."""
    if len(expected) == 1:
        return _IF_IT_IS_AT, next(iter(expected.items()))
    return _IF_ALL_ARE_AT, (msgspec.json.encode(expected).decode(),)


def _flat(rows: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(rows))


def _places(rows: Sequence[object]) -> str:
    return ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
