"""What is peculiar to MySQL 8 and MariaDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.domain.records import NewEvent
from rill_django.store.dialect import EVENTS, POSITIONS, UNSEQUENCED, Dialect
from rill_django.store.tables import LOST_RACE_CONSTRAINT

SEQUENCE_AT_MOST = 1_000
"""Events that get their positions in one go."""

_DUPLICATE_ENTRY = 1062

# JSON_TABLE gives one statement for any number of events.
_APPEND = f"""
INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)
SELECT %s, %s + new.number, new.type, new.data, new.metadata, UTC_TIMESTAMP(6)
FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    number FOR ORDINALITY,
    type VARCHAR(255) PATH '$[0]',
    data LONGTEXT PATH '$[1]',
    metadata LONGTEXT PATH '$[2]'
)) AS new
WHERE %s = COALESCE((SELECT MAX(version) FROM {EVENTS} old WHERE old.stream = %s), -1)
ORDER BY new.number
"""

_QUEUE = f"""
INSERT INTO {UNSEQUENCED} (event_id)
SELECT id FROM {EVENTS} WHERE stream = %s AND version > %s ORDER BY version
"""

# Server-wide, so it carries the database's name; no longer than the 64 characters that are allowed.
_LOCK = f"SHA1(CONCAT(DATABASE(), '.{POSITIONS}'))"


class MySQL(Dialect):
    """See `Dialect`."""

    vendor = "mysql"
    sequences_on_append = False
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
        cursor.execute(_QUEUE, (stream, expected_version))
        cursor.execute(
            f"SELECT recorded_at FROM {EVENTS} WHERE stream = %s AND version = %s",
            (stream, expected_version + 1),
        )
        return self.utc(cursor.fetchone()[0])

    def sequence(self, connection: BaseDatabaseWrapper) -> bool:
        """See `Dialect.sequence`."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT GET_LOCK({_LOCK}, 0)")
            if cursor.fetchone()[0] != 1:
                return False
            try:
                with transaction.atomic(using=connection.alias):
                    return self._move(cursor)
            finally:
                cursor.execute(f"SELECT RELEASE_LOCK({_LOCK})")
                cursor.fetchone()

    def _move(self, cursor: CursorWrapper) -> bool:
        cursor.execute(
            f"SELECT event_id FROM {UNSEQUENCED} ORDER BY event_id LIMIT {SEQUENCE_AT_MOST}"
        )
        ids = [id for (id,) in cursor.fetchall()]
        if not ids:
            return False
        cursor.execute(f"SELECT COALESCE(MAX(position), 0) FROM {POSITIONS}")
        (last,) = cursor.fetchone()
        cursor.executemany(
            f"INSERT INTO {POSITIONS} (position, event_id) VALUES (%s, %s)",
            list(enumerate(ids, start=last + 1)),
        )
        # By their ids: a condition that scans would wait for rows that others have not committed.
        places = ", ".join(["%s"] * len(ids))
        cursor.execute(f"DELETE FROM {UNSEQUENCED} WHERE event_id IN ({places})", ids)
        return len(ids) == SEQUENCE_AT_MOST

    def is_lost_race(self, error: IntegrityError) -> bool:
        """See `Dialect.is_lost_race`."""
        number, text = (*error.args, None, "")[:2]
        return number == _DUPLICATE_ENTRY and LOST_RACE_CONSTRAINT in str(text)
