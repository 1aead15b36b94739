"""What is peculiar to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

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

SEQUENCE_AT_MOST = 10_000
"""Events that get their positions in one go, so that the lock is held shortly."""

_FLUSHING = "rill_django.flushing"

# The condition keeps a stream without gaps; the unique constraint, without overwriting. Both are
# needed: the condition sees only what is committed. Ids are given in the order of versions, which is
# what makes the order of positions agree with them.
_APPEND = f"""
WITH moved AS (
    SELECT 1 FROM unnest(%s::text[], %s::int[]) AS wanted(stream, version)
    WHERE wanted.version <> coalesce((
        SELECT old.version FROM {EVENTS} old WHERE old.stream = wanted.stream
        ORDER BY old.version DESC LIMIT 1), -1)
    LIMIT 1
), appended AS (
    INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at)
    SELECT stream, version, type, data::jsonb, metadata::jsonb,
           coalesce(recorded_at, statement_timestamp())
    FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
         WITH ORDINALITY AS new(stream, version, type, data, metadata, recorded_at, number)
    WHERE NOT EXISTS (SELECT FROM moved)
    ORDER BY number
    RETURNING id
), queued AS (
    INSERT INTO {UNSEQUENCED} (event_id) SELECT id FROM appended
)
SELECT statement_timestamp() FROM appended LIMIT 1
"""

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
    # Django's own way of reading times takes three times as long. Older Pythons cannot read the text.
    time_text = "{}::text" if sys.version_info >= (3, 11) else "{}"
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
        expected = expected_versions(rows)
        columns = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(_APPEND, (list(expected), list(expected.values()), *columns))
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
            if is_outermost and _isolation_level(connection) != "READ_COMMITTED":
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # Two statements: under READ COMMITTED the second one sees all that was committed before
            # the lock was ours, the last position above all.
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s), 0)", (POSITIONS,))
            if not cursor.fetchone()[0]:
                return False
            cursor.execute(_SEQUENCE)
            return bool(cursor.rowcount == SEQUENCE_AT_MOST)

    def is_lost_race(self, error: IntegrityError) -> bool:
        """See `Dialect.is_lost_race`."""
        diagnostics = getattr(error.__cause__, "diag", None)
        return getattr(diagnostics, "constraint_name", None) == LOST_RACE_CONSTRAINT


def _isolation_level(connection: BaseDatabaseWrapper) -> str:
    return str(getattr(getattr(connection, "isolation_level", None), "name", "READ_COMMITTED"))
