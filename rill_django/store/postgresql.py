"""What is peculiar to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

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
from rill_django.store.selection import Selection
from rill_django.store.tables import LOST_RACE_CONSTRAINT

SEQUENCE_AT_MOST = 10_000
"""Events that get their positions in one go, so that the lock is held shortly."""

# Django's own way of reading times takes three times as long, and is without a zone where `USE_TZ` is off.
# Older Pythons cannot read PostgreSQL's text; they get UTC without saying so.
_TIME_TEXT = (
    "{}::text"
    if sys.version_info >= (3, 11)
    else "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
)

_FLUSHING = "rill_django.flushing"

# Three statements for the same promise, since the general one takes up to twice as long for one stream.
#
# The condition keeps a stream without gaps; the unique constraint, without overwriting. Both are
# needed: the condition sees only what is committed. Ids are given in the order of versions, which is
# what makes the order of positions agree with them.

_IS_AT = f"""coalesce((
    SELECT old.version FROM {EVENTS} old WHERE old.stream = %(stream)s::varchar
    ORDER BY old.version DESC LIMIT 1), -1) = %(version)s::int"""

_QUEUED = f"""
, queued AS (
    INSERT INTO {UNSEQUENCED} (event_id) SELECT id FROM appended
)
SELECT {_TIME_TEXT.format("statement_timestamp()")} FROM appended LIMIT 1
"""

_INSERT = f"INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)"

_APPEND_ONE_EVENT = f"""
WITH appended AS (
    {_INSERT}
    SELECT %(stream)s::varchar, %(version)s::int + 1, %(type)s, %(data)s::jsonb,
           %(metadata)s::jsonb, statement_timestamp()
    WHERE {_IS_AT}
    RETURNING id
){_QUEUED}"""

_APPEND_TO_ONE_STREAM = f"""
WITH appended AS (
    {_INSERT}
    SELECT %(stream)s::varchar, %(version)s::int + number, event ->> 0, (event -> 1)::jsonb,
           (event -> 2)::jsonb, statement_timestamp()
    FROM json_array_elements(%(events)s::json) WITH ORDINALITY AS new(event, number)
    WHERE {_IS_AT}
    ORDER BY number
    RETURNING id
){_QUEUED}"""

_APPEND = f"""
WITH moved AS (
    SELECT 1 FROM json_each_text(%(expected)s::json) AS wanted(stream, version)
    WHERE wanted.version::int <> coalesce((
        SELECT old.version FROM {EVENTS} old WHERE old.stream = wanted.stream
        ORDER BY old.version DESC LIMIT 1), -1)
    LIMIT 1
), appended AS (
    {_INSERT}
    SELECT stream, version, type, data, metadata, coalesce(recorded_at, statement_timestamp())
    FROM ROWS FROM (json_to_recordset(%(events)s::json) AS (
            stream text, version int, type text, data jsonb, metadata jsonb, recorded_at timestamptz))
         WITH ORDINALITY AS new(stream, version, type, data, metadata, recorded_at, number)
    WHERE NOT EXISTS (SELECT FROM moved)
    ORDER BY number
    RETURNING id
){_QUEUED}"""

_SEQUENCE = f"""
WITH moved AS (
    DELETE FROM {UNSEQUENCED}
    WHERE event_id = ANY (ARRAY(
        SELECT event_id FROM {UNSEQUENCED} ORDER BY event_id LIMIT {SEQUENCE_AT_MOST}))
    RETURNING event_id
)
INSERT INTO {POSITIONS} (position, event_id)
SELECT coalesce((SELECT max(position) FROM {POSITIONS}), 0) + row_number() OVER (ORDER BY event_id),
       event_id
FROM moved
"""


class PostgreSQL(Dialect):
    """See `Dialect`."""

    vendor = "postgresql"
    json_text = "{}::text"
    # It takes a tenth of the time of MD5, and divides partitioned tables, so that it stays what it is.
    in_share = "mod(hashtextextended(e.stream, 0) & 2147483647, %s) = %s"
    time_text = _TIME_TEXT
    # What is compressed may be a hundred times as long as it is in the table.
    is_short = "pg_column_size({0}) < 2000 AND pg_column_compression({0}) IS NULL"
    seconds_since = "EXTRACT(EPOCH FROM clock_timestamp() - {})"
    sequences_on_append = False
    appends_in_one_statement = True
    log_source = (
        f"{POSITIONS} p CROSS JOIN LATERAL "
        f"(SELECT * FROM {EVENTS} inner_e WHERE inner_e.id = p.event_id OFFSET 0) e"
    )
    # 24 kB where a B-tree takes 77 MB, as measured with 2 million events.
    time_index = (
        f"CREATE INDEX {EVENTS}_recorded_at ON {EVENTS} USING brin (recorded_at) "
        "WITH (autosummarize = on)",
    )
    protection = (
        f"""
        CREATE FUNCTION {EVENTS}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' AND current_setting('{_FLUSHING}', true) = 'on' THEN
                RETURN NULL;
            END IF;
            RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """,
        f"CREATE TRIGGER {EVENTS}_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON {EVENTS} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {EVENTS}_refuse()",
    )
    removal = (
        f"DROP TRIGGER IF EXISTS {EVENTS}_immutable ON {EVENTS}",
        f"DROP FUNCTION IF EXISTS {EVENTS}_refuse()",
    )

    def time_parameter(self, value: datetime) -> datetime:
        """See `Dialect.time_parameter`."""
        return value

    def share_parameters(self, selection: Selection) -> tuple[Any, ...]:
        """See `Dialect.share_parameters`."""
        number, of = selection.share or (0, 1)
        return of, number

    @contextmanager
    def unprotected(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """See `Dialect.unprotected`. For this session only: nobody else's TRUNCATE gets through."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, 'on', false)", (_FLUSHING,))
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config(%s, 'off', false)", (_FLUSHING,))

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """See `Dialect.append`."""
        cursor.execute(*_append_statement(rows))
        row = cursor.fetchone()
        return None if row is None else self.utc(row[0])

    def versions(self, cursor: CursorWrapper, streams: Sequence[str]) -> dict[str, int]:
        """See `Dialect.versions`. One look at the index for each, also without statistics."""
        cursor.execute(
            f"SELECT wanted.stream, last.version FROM unnest(%s::text[]) AS wanted(stream) "
            f"CROSS JOIN LATERAL (SELECT version FROM {EVENTS} WHERE stream = wanted.stream "
            f"ORDER BY version DESC LIMIT 1) last",
            (list(streams),),
        )
        return dict(cursor.fetchall())

    def sequence(self, connection: BaseDatabaseWrapper) -> bool:
        """See `Dialect.sequence`."""
        is_outermost = not connection.in_atomic_block
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            if is_outermost and isolation_level(connection) != "READ_COMMITTED":
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # Two statements: under READ COMMITTED the second one sees all that was committed before
            # the lock was ours, the last position above all.
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s), 0)", (POSITIONS,))
            if not cursor.fetchone()[0]:
                return False
            cursor.execute(_SEQUENCE)
            return bool(cursor.rowcount == SEQUENCE_AT_MOST)

    def is_deadlock(self, error: OperationalError) -> bool:
        """See `Dialect.is_deadlock`."""
        return getattr(error.__cause__, "sqlstate", None) == "40P01"

    def is_lost_race(self, error: IntegrityError) -> bool:
        """See `Dialect.is_lost_race`."""
        diagnostics = getattr(error.__cause__, "diag", None)
        return getattr(diagnostics, "constraint_name", None) == LOST_RACE_CONSTRAINT


def isolation_level(connection: BaseDatabaseWrapper) -> str:
    """Return the level that the settings ask for, e.g. ``READ_COMMITTED``."""
    return str(getattr(getattr(connection, "isolation_level", None), "name", "READ_COMMITTED"))


def _append_statement(rows: Sequence[Row]) -> tuple[str, dict[str, Any]]:
    """Return the leanest statement that appends the rows, with its parameters."""
    expected = expected_versions(rows)
    if len(expected) > 1 or any(row.recorded_at is not None for row in rows):
        records = [
            {**row._asdict(), "data": _raw(row.data), "metadata": _raw(row.metadata)}
            for row in rows
        ]
        return _APPEND, {"expected": _json(expected), "events": _json(records)}
    ((stream, version),) = expected.items()
    at = {"stream": stream, "version": version}
    if len(rows) == 1:
        (row,) = rows
        return _APPEND_ONE_EVENT, {
            **at,
            "type": row.type,
            "data": row.data,
            "metadata": row.metadata,
        }
    events = [(row.type, _raw(row.data), _raw(row.metadata)) for row in rows]
    return _APPEND_TO_ONE_STREAM, {**at, "events": _json(events)}


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
