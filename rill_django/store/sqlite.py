"""What is peculiar to SQLite: one writer at a time, so an append can give the positions at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import msgspec
from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import EVENTS, POSITIONS, REFUSAL, Dialect, Row, expected_versions

_TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"

# json_each gives one statement for any number of events. Milliseconds are all that SQLite's clock has;
# the zeros make texts of equal length, which is how SQLite compares times.
_APPEND = f"""
INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)
SELECT json_extract(new.value, '$[0]'), json_extract(new.value, '$[1]'),
       json_extract(new.value, '$[2]'), json_extract(new.value, '$[3]'),
       json_extract(new.value, '$[4]'),
       coalesce(json_extract(new.value, '$[5]'), strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') || '000')
FROM json_each(%s) AS new
WHERE NOT EXISTS (
    SELECT 1 FROM json_each(%s) AS wanted
    WHERE wanted.value <> coalesce(
        (SELECT max(version) FROM {EVENTS} WHERE stream = wanted.key), -1))
ORDER BY new.key
"""

# Ids grow, and every event so far has its position.
_POSITIONS = f"""
INSERT INTO {POSITIONS} (position, event_id)
SELECT coalesce((SELECT max(position) FROM {POSITIONS}), 0) + row_number() OVER (ORDER BY id), id
FROM {EVENTS} WHERE id > coalesce((SELECT event_id FROM {POSITIONS} ORDER BY position DESC LIMIT 1), 0)
"""


class SQLite(Dialect):
    """See `Dialect`."""

    vendor = "sqlite"
    sequences_on_append = True
    appends_in_one_statement = False
    log_source = f"{POSITIONS} p CROSS JOIN {EVENTS} e ON e.id = p.event_id"
    protection = tuple(
        f"CREATE TRIGGER {EVENTS}_no_{action.lower()} BEFORE {action} ON {EVENTS} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        for action in ("UPDATE", "DELETE")
    )
    removal = tuple(
        f"DROP TRIGGER IF EXISTS {EVENTS}_no_{action}" for action in ("update", "delete")
    )

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """See `Dialect.append`."""
        new = [
            row._replace(recorded_at=_text(row.recorded_at)) if row.recorded_at else row  # type: ignore[arg-type]
            for row in rows
        ]
        expected = msgspec.json.encode(expected_versions(rows)).decode()
        cursor.execute(_APPEND, (msgspec.json.encode(new).decode(), expected))
        if cursor.rowcount != len(rows):
            return None
        last = cursor.lastrowid
        cursor.execute(_POSITIONS)
        cursor.execute(f"SELECT recorded_at FROM {EVENTS} WHERE id = %s", (last,))
        return self.utc(cursor.fetchone()[0])

    def sequence(self, connection: BaseDatabaseWrapper) -> bool:
        """Nothing is left to do: see `append`."""
        return False

    def is_lost_race(self, error: IntegrityError) -> bool:
        """Never: the statement that checks the version holds the only write lock."""
        return False

    def time_parameter(self, connection: BaseDatabaseWrapper, value: datetime) -> str:
        """See `Dialect.time_parameter`."""
        return _text(value)


def _text(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime(_TIME_FORMAT)
