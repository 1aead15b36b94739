"""What is peculiar to SQLite: one writer at a time, so an append can give the positions at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import msgspec
from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.domain.records import NewEvent
from rill_django.store.dialect import EVENTS, POSITIONS, Dialect

# json_each gives one statement for any number of events. Milliseconds are all that SQLite's clock has;
# the zeros make texts of equal length, which is how SQLite compares times.
_APPEND = f"""
INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)
SELECT %s, %s + 1 + new.key, json_extract(new.value, '$[0]'), json_extract(new.value, '$[1]'),
       json_extract(new.value, '$[2]'), strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') || '000'
FROM json_each(%s) AS new
WHERE %s = coalesce((SELECT max(version) FROM {EVENTS} WHERE stream = %s), -1)
ORDER BY new.key
"""

_POSITIONS = f"""
INSERT INTO {POSITIONS} (position, event_id)
SELECT coalesce((SELECT max(position) FROM {POSITIONS}), 0) + row_number() OVER (ORDER BY id), id
FROM {EVENTS} WHERE stream = %s AND version > %s
"""


class SQLite(Dialect):
    """See `Dialect`."""

    vendor = "sqlite"
    sequences_on_append = True
    appends_in_one_statement = False

    def append(
        self, cursor: CursorWrapper, stream: str, expected_version: int, events: Sequence[NewEvent]
    ) -> datetime | None:
        """See `Dialect.append`."""
        rows = [(event.type, event.data.decode(), event.metadata.decode()) for event in events]
        new = msgspec.json.encode(rows).decode()
        cursor.execute(_APPEND, (stream, expected_version, new, expected_version, stream))
        if cursor.rowcount != len(events):
            return None
        cursor.execute(_POSITIONS, (stream, expected_version))
        cursor.execute(
            f"SELECT recorded_at FROM {EVENTS} WHERE stream = %s AND version = %s",
            (stream, expected_version + 1),
        )
        return self.utc(cursor.fetchone()[0])

    def sequence(self, connection: BaseDatabaseWrapper) -> bool:
        """Nothing is left to do: see `append`."""
        return False

    def is_lost_race(self, error: IntegrityError) -> bool:
        """Never: the statement that checks the version holds the only write lock."""
        return False

    def time_parameter(self, connection: BaseDatabaseWrapper, value: datetime) -> str:
        """See `Dialect.time_parameter`."""
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
