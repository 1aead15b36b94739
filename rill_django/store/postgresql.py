"""What is peculiar to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import IntegrityError, InternalError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import (
    EVENTS,
    IDLE_SECONDS,
    POSITIONS,
    STATEMENT_SECONDS,
    UNSEQUENCED,
    Dialect,
    Look,
    Pass,
    Row,
    expected_versions,
)
from rill_django.store.floor import Floor
from rill_django.store.postgresql_floor import FLOOR, NOTHING, SEEN, PostgreSQLFloor, Snapshot
from rill_django.store.postgresql_guards import PostgreSQLGuards
from rill_django.store.protocol import Waiting
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

_IDLE_TOO_LONG = "25P03"
_BEGIN_ANEW = ("40P01", "40001")
"""A deadlock; a transaction at REPEATABLE READ or SERIALIZABLE that others came in between."""

# Three statements for the same promise, since the general one takes up to twice as long for one stream.
#
# The condition keeps a stream without gaps; the unique constraint, without overwriting. Both are
# needed: the condition sees only what is committed. Ids are given in the order of versions, which is
# what makes the order of positions agree with them.

_IS_AT = f"""coalesce((
    SELECT old.version FROM {EVENTS} old WHERE old.stream = %(stream)s::varchar
    ORDER BY old.version DESC LIMIT 1), -1) = %(version)s::int"""

# Takes the transaction's number before the first id is taken: see `PostgreSQLFloor`.
_HAS_NUMBER = "pg_current_xact_id() IS NOT NULL"

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
    WHERE {_IS_AT} AND {_HAS_NUMBER}
    RETURNING id
){_QUEUED}"""

_APPEND_TO_ONE_STREAM = f"""
WITH appended AS (
    {_INSERT}
    SELECT %(stream)s::varchar, %(version)s::int + number, event ->> 0, (event -> 1)::jsonb,
           (event -> 2)::jsonb, statement_timestamp()
    FROM json_array_elements(%(events)s::json) WITH ORDINALITY AS new(event, number)
    WHERE {_IS_AT} AND {_HAS_NUMBER}
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
    WHERE NOT EXISTS (SELECT FROM moved) AND {_HAS_NUMBER}
    ORDER BY number
    RETURNING id
){_QUEUED}"""

_WAITING = f"SELECT event_id FROM {UNSEQUENCED} WHERE event_id > {FLOOR}"

# In order and limited, so that it goes by the index: a scan would step over all dead rows.
_LOOK = f"""
SELECT last.position, last.event_id, ({_WAITING} ORDER BY event_id LIMIT 1), {SEEN}
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT position, event_id FROM {POSITIONS} ORDER BY position DESC LIMIT 1) AS last ON true
"""

# The whole database shares it, and each schema may have a log of its own.
_TRY_LOCK = f"pg_try_advisory_xact_lock('{POSITIONS}'::regclass::oid::int, 0)"

# For this transaction only: a pooler may give the connection to somebody else after it.
_TRY_LOCK_WITH_LIMITS = f"""
SELECT set_config('statement_timeout', %s, true),
       set_config('idle_in_transaction_session_timeout', %s, true), {_TRY_LOCK}
"""

_HOLDER = f"""
SELECT held.pid, activity.application_name, activity.state,
       extract(epoch FROM clock_timestamp() - activity.state_change)
FROM pg_locks held LEFT JOIN pg_stat_activity activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.pid <> pg_backend_pid()
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid = '{POSITIONS}'::regclass::oid
    AND held.objid = 0 AND held.objsubid = 2
"""

_SEQUENCE = f"""
WITH moved AS (
    DELETE FROM {UNSEQUENCED}
    WHERE event_id = ANY (ARRAY({_WAITING} ORDER BY event_id LIMIT {SEQUENCE_AT_MOST}))
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
    sequences_on_append = False
    clock = "clock_timestamp() AT TIME ZONE 'UTC'"
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
    guards = PostgreSQLGuards()

    def time_parameter(self, value: datetime) -> datetime:
        """See `Dialect.time_parameter`."""
        return value

    def share_parameters(self, selection: Selection) -> tuple[Any, ...]:
        """See `Dialect.share_parameters`."""
        number, of = selection.share or (0, 1)
        return of, number

    @property
    def reason_against_driver(self) -> str:
        """See `Dialect.reason_against_driver`. The old one does not say which error it was."""
        from django.db.backends.postgresql import psycopg_any

        if psycopg_any.is_psycopg3:
            return ""
        return (
            "rill_django needs psycopg 3 on PostgreSQL, and Django has found psycopg2 only. "
            "Install it: pip install 'psycopg[binary]>=3.2'"
        )

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

    def new_floor(self) -> Floor:
        """See `Dialect.new_floor`."""
        return PostgreSQLFloor()

    def look(self, cursor: CursorWrapper, floor: Floor) -> Look:
        """See `Dialect.look`."""
        quick = floor.quick() if isinstance(floor, PostgreSQLFloor) else None
        if quick is not None:
            cursor.execute(quick.statement)
            last, first, is_same_log, queue = cursor.fetchone()
            if is_same_log and queue == quick.queue:
                return Look(last, None, first)
        cursor.execute(_LOOK, floor.parameters() or NOTHING)
        last, last_event, first, *seen = cursor.fetchone()
        return Look(last or 0, last_event, first, Snapshot.of(*seen))

    def last_waiting(self, cursor: CursorWrapper, floor: Floor) -> int | None:
        """See `Dialect.last_waiting`."""
        cursor.execute(f"{_WAITING} ORDER BY event_id DESC LIMIT 1", floor.parameters() or NOTHING)
        row = cursor.fetchone()
        return None if row is None else row[0]

    def waiting(self, cursor: CursorWrapper, floor: Floor) -> Waiting:
        """See `Dialect.waiting`."""
        age = "EXTRACT(EPOCH FROM clock_timestamp() - e.recorded_at)"

        def queue(limit: int) -> str:
            return f"{_WAITING} ORDER BY event_id LIMIT {limit:d}"

        return self._count_waiting(cursor, queue, age, floor.parameters() or NOTHING)

    def sequence(self, connection: BaseDatabaseWrapper, floor: Floor) -> Pass:
        """See `Dialect.sequence`."""
        try:
            return self._sequence(connection, floor)
        except InternalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _IDLE_TOO_LONG:
                raise
            # The connection is gone, and whoever knows what to do then expects to be told so.
            raise OperationalError(*error.args) from error.__cause__

    def _sequence(self, connection: BaseDatabaseWrapper, floor: Floor) -> Pass:
        is_outermost = not connection.in_atomic_block
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            if is_outermost and isolation_level(connection) != "READ_COMMITTED":
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # Two statements: under READ COMMITTED the second one sees all that was committed before
            # the lock was ours, the last position above all.
            if is_outermost:
                limits = (f"{STATEMENT_SECONDS}s", f"{IDLE_SECONDS}s")
                cursor.execute(_TRY_LOCK_WITH_LIMITS, limits)
            else:
                cursor.execute(f"SELECT {_TRY_LOCK}")
            if not cursor.fetchone()[-1]:
                return Pass.BUSY
            cursor.execute(_SEQUENCE, floor.parameters() or NOTHING)
            return Pass.MORE if cursor.rowcount == SEQUENCE_AT_MOST else Pass.DONE

    def sequencer_holder(self, cursor: CursorWrapper) -> str:
        """See `Dialect.sequencer_holder`."""
        cursor.execute(_HOLDER)
        row = cursor.fetchone()
        if row is None:
            return ""
        number, name, state, seconds = row
        about = [repr(name)] if name else []
        if state:
            about.append(f"{state} for {seconds:.0f} s")
        in_brackets = f" ({', '.join(about)})" if about else ""
        return (
            f"The database's process {number}{in_brackets} holds the "
            f"sequencer's lock and does not go on. End it: SELECT pg_terminate_backend({number})"
        )

    def begins_anew(self, error: OperationalError) -> bool:
        """See `Dialect.begins_anew`."""
        return getattr(error.__cause__, "sqlstate", None) in _BEGIN_ANEW

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
