"""What is peculiar to MySQL 8 and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

import msgspec
from django.db import IntegrityError, transaction
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
from rill_django.store.tables import LOST_RACE_CONSTRAINT

SEQUENCE_AT_MOST = 1_000
"""Events that get their positions in one go."""

_DUPLICATE_ENTRY = 1062

# JSON_TABLE gives one statement for any number of events.
_APPEND = f"""
INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)
SELECT new.stream, new.version, new.type, new.data, new.metadata,
       COALESCE(new.recorded_at, UTC_TIMESTAMP(6))
FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    number FOR ORDINALITY,
    stream VARCHAR(255) CHARACTER SET ascii PATH '$[0]',
    version INT PATH '$[1]',
    type VARCHAR(255) PATH '$[2]',
    data LONGTEXT PATH '$[3]',
    metadata LONGTEXT PATH '$[4]',
    recorded_at DATETIME(6) PATH '$[5]'
)) AS new
WHERE NOT EXISTS (
    SELECT 1 FROM JSON_TABLE(%s, '$[*]' COLUMNS (
        stream VARCHAR(255) CHARACTER SET ascii PATH '$[0]', version INT PATH '$[1]'
    )) AS wanted
    WHERE wanted.version <> COALESCE(
        (SELECT MAX(old.version) FROM {EVENTS} old WHERE old.stream = wanted.stream), -1))
ORDER BY new.number
"""

_QUEUE = f"""
INSERT INTO {UNSEQUENCED} (event_id)
SELECT new.id FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    stream VARCHAR(255) CHARACTER SET ascii PATH '$[0]', version INT PATH '$[1]'
)) AS wanted
STRAIGHT_JOIN {EVENTS} new ON new.stream = wanted.stream AND new.version > wanted.version
ORDER BY new.id
"""

# Server-wide, so it carries the database's name; no longer than the 64 characters that are allowed.
_LOCK = f"SHA1(CONCAT(DATABASE(), '.{POSITIONS}'))"


class MySQL(Dialect):
    """See `Dialect`."""

    vendor = "mysql"
    sequences_on_append = False
    appends_in_one_statement = False
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
        new = [
            row._replace(recorded_at=self._text(row.recorded_at)) if row.recorded_at else row  # type: ignore[arg-type]
            for row in rows
        ]
        expected = msgspec.json.encode(list(expected_versions(rows).items())).decode()
        cursor.execute(_APPEND, (msgspec.json.encode(new).decode(), expected))
        if cursor.rowcount != len(rows):
            return None
        cursor.execute(_QUEUE, (expected,))
        cursor.execute(
            f"SELECT recorded_at FROM {EVENTS} WHERE stream = %s AND version = %s",
            (rows[-1].stream, rows[-1].version),
        )
        return self.utc(cursor.fetchone()[0])

    @staticmethod
    def _text(time: datetime) -> str:
        return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")

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
