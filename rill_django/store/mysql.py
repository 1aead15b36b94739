"""What is peculiar to MySQL 8 and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from django.db import IntegrityError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import (
    EVENTS,
    POSITIONS,
    REFUSAL,
    UNSEQUENCED,
    Dialect,
    Row,
    expected_versions,
)
from rill_django.store.moments import utc_text
from rill_django.store.tables import LOST_RACE_CONSTRAINT

SEQUENCE_AT_MOST = 1_000
"""Events that get their positions in one go."""

_DUPLICATE_ENTRY = 1062
_DEADLOCK = 1213

# INSERT … SELECT would lock the table's counter of ids until its end, so that writers of different
# streams wait for each other; a plain INSERT does not. The versions are looked at before, and the
# unique constraint sees to those who were quicker meanwhile.
_APPEND = f"INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at) VALUES "

_QUEUE = f"""
INSERT INTO {UNSEQUENCED} (event_id)
SELECT new.id FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    stream VARCHAR(255) CHARACTER SET ascii PATH '$[0]', version INT PATH '$[1]'
)) AS wanted
STRAIGHT_JOIN {EVENTS} new ON new.stream = wanted.stream AND new.version > wanted.version
ORDER BY new.id
"""

# One by one, by their ids. With IN (…) the optimiser takes a scan when there are many, and that waits for
# rows that others have not committed yet.
_LEAVE_QUEUE = f"""
DELETE queued FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS sequenced
STRAIGHT_JOIN {UNSEQUENCED} AS queued FORCE INDEX (PRIMARY) ON queued.event_id = sequenced.id
"""

# Server-wide, so it carries the database's name; no longer than the 64 characters that are allowed.
_LOCK = f"SHA1(CONCAT(DATABASE(), '.{POSITIONS}'))"


class MySQL(Dialect):
    """See `Dialect`."""

    vendor = "mysql"
    seconds_since = "TIMESTAMPDIFF(MICROSECOND, {}, UTC_TIMESTAMP(6)) / 1000000"
    sequences_on_append = False
    appends_in_one_statement = False
    is_short = "OCTET_LENGTH({0}) < 2000"
    log_source = f"{POSITIONS} p STRAIGHT_JOIN {EVENTS} e ON e.id = p.event_id"
    protection = tuple(
        f"CREATE TRIGGER {EVENTS}_no_{action.lower()} BEFORE {action} ON {EVENTS} FOR EACH ROW "
        f"IF @rill_django_flushing IS NULL THEN "
        f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'; END IF"
        for action in ("UPDATE", "DELETE")
    )
    removal = tuple(
        f"DROP TRIGGER IF EXISTS {EVENTS}_no_{action}" for action in ("update", "delete")
    )

    @contextmanager
    def unprotected(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """See `Dialect.unprotected`. For this session only."""
        with connection.cursor() as cursor:
            cursor.execute("SET @rill_django_flushing = 1")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET @rill_django_flushing = NULL")

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """See `Dialect.append`."""
        expected = expected_versions(rows)
        actual = self.versions(cursor, list(expected))
        if any(actual.get(stream, -1) != version for stream, version in expected.items()):
            return None
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        now = self.utc(cursor.fetchone()[0])
        places = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
        values = [value for row in rows for value in (*row[:5], utc_text(row.recorded_at or now))]
        cursor.execute(_APPEND + places, values)
        cursor.execute(_QUEUE, (msgspec.json.encode(list(expected.items())).decode(),))
        return now

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
        cursor.execute(_LEAVE_QUEUE, (msgspec.json.encode(ids).decode(),))
        return len(ids) == SEQUENCE_AT_MOST

    def is_deadlock(self, error: OperationalError) -> bool:
        """See `Dialect.is_deadlock`."""
        return bool(error.args and error.args[0] == _DEADLOCK)

    def is_lost_race(self, error: IntegrityError) -> bool:
        """See `Dialect.is_lost_race`."""
        number, text = (*error.args, None, "")[:2]
        return number == _DUPLICATE_ENTRY and LOST_RACE_CONSTRAINT in str(text)
