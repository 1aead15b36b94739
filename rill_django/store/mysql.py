"""What is peculiar to MySQL 8 and MariaDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from django.db import IntegrityError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import (
    EVENTS,
    POSITIONS,
    UNSEQUENCED,
    Dialect,
    IdsTooOld,
    Look,
    Pass,
    Row,
    expected_versions,
)
from rill_django.store.floor import Floor
from rill_django.store.moments import utc_text
from rill_django.store.mysql_floor import QUEUE_SECONDS, Known, MySQLFloor
from rill_django.store.mysql_guards import MySQLGuards
from rill_django.store.mysql_json import refuse_unfit
from rill_django.store.mysql_lock import having_lock, lock_holder
from rill_django.store.protocol import Waiting
from rill_django.store.tables import LOST_RACE_CONSTRAINT

SEQUENCE_AT_MOST = 1_000
"""Events that get their positions in one go."""

STATEMENT_CHARACTERS = 2_000_000
"""Of events, in one statement: well below the 16 MB of a packet that MariaDB allows by default."""

_DUPLICATE_ENTRY = 1062
_BEGIN_ANEW = (1213, 1205, 1020)
"""A deadlock; a wait for a lock that took too long; a record that has changed since it was read, as MariaDB
says at REPEATABLE READ."""

# INSERT … SELECT would lock the table's counter of ids until its end, so that writers of different
# streams wait for each other; a plain INSERT does not. The versions are looked at before, and the
# unique constraint sees to those who were quicker meanwhile.
_APPEND = f"INSERT INTO {EVENTS} (stream, version, type, data, metadata, recorded_at) VALUES "

_QUEUE = f"""
INSERT INTO {UNSEQUENCED} (event_id)
SELECT new.id FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    stream VARCHAR(255) CHARACTER SET utf8mb4 PATH '$[0]', version INT PATH '$[1]'
)) AS wanted
STRAIGHT_JOIN {EVENTS} new ON new.stream = wanted.stream AND new.version > wanted.version
WHERE UTC_TIMESTAMP(6) < %s
ORDER BY new.id
"""

# One by one, by their ids. With IN (…) the optimiser takes a scan when there are many, and that waits for
# rows that others have not committed yet.
_LEAVE_QUEUE = f"""
DELETE queued FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS sequenced
STRAIGHT_JOIN {UNSEQUENCED} AS queued FORCE INDEX (PRIMARY) ON queued.event_id = sequenced.id
"""


class MySQL(Dialect):
    """See `Dialect`."""

    vendor = "mysql"
    sequences_on_append = False
    clock = "UTC_TIMESTAMP(6)"
    appends_in_one_statement = False
    is_short = "OCTET_LENGTH({0}) < 2000"
    log_source = f"{POSITIONS} p STRAIGHT_JOIN {EVENTS} e ON e.id = p.event_id"
    guards = MySQLGuards()

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """See `Dialect.append`."""
        self.refuse_unfit(cursor.db, rows)
        expected = expected_versions(rows)
        actual = self.versions(cursor, list(expected))
        if any(actual.get(stream, -1) != version for stream, version in expected.items()):
            return None
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        now = self.utc(cursor.fetchone()[0])
        now_text = utc_text(now)
        for some in _parts(rows):
            places = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(some))
            values = [
                it
                for row in some
                for it in (*row[:5], utc_text(row.recorded_at) if row.recorded_at else now_text)
            ]
            cursor.execute(_APPEND + places, values)
        until = utc_text(now + timedelta(seconds=QUEUE_SECONDS))
        cursor.execute(_QUEUE, (msgspec.json.encode(list(expected.items())).decode(), until))
        if cursor.rowcount != len(rows):
            raise IdsTooOld
        return now

    def new_floor(self) -> Floor:
        """See `Dialect.new_floor`."""
        return MySQLFloor()

    def look(self, cursor: CursorWrapper, floor: Floor) -> Look:
        """See `Dialect.look`."""
        known = Known.of(floor)
        cursor.execute(f"SELECT {known.seen}, ({known.first})")
        last, database, known_event, first = cursor.fetchone()
        if not known.is_true_of(database, known_event):
            floor.forget()
            return self.look(cursor, floor)
        return Look(last or 0, None, first, database)

    def last_waiting(self, cursor: CursorWrapper, floor: Floor) -> int | None:
        """See `Dialect.last_waiting`."""
        queue = Known.of(floor).queue(1, direction="DESC")
        cursor.execute(f"SELECT MAX(event_id) FROM ({queue}) AS queued")
        found: int | None = cursor.fetchone()[0]
        return found

    def waiting(self, cursor: CursorWrapper, floor: Floor) -> Waiting:
        """See `Dialect.waiting`."""
        age = "TIMESTAMPDIFF(MICROSECOND, e.recorded_at, UTC_TIMESTAMP(6)) / 1000000"
        return self._count_waiting(cursor, Known.of(floor).queue, age)

    def sequence(self, connection: BaseDatabaseWrapper, floor: Floor) -> Pass:
        """See `Dialect.sequence`."""
        with connection.cursor() as cursor, having_lock(connection, cursor) as is_ours:
            if not is_ours:
                return Pass.BUSY
            if not connection.in_atomic_block and not _is_read_committed(connection):
                # SERIALIZABLE would wait for those who have not committed yet.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            with transaction.atomic(using=connection.alias):
                return self._move(cursor, floor)

    def _move(self, cursor: CursorWrapper, floor: Floor) -> Pass:
        known = Known.of(floor)
        cursor.execute(f"SELECT {known.seen}")
        last, database, known_event = cursor.fetchone()
        known = known if known.is_true_of(database, known_event) else Known()
        cursor.execute(
            f"SELECT event_id FROM ({known.queue(SEQUENCE_AT_MOST)}) AS queued "
            f"ORDER BY event_id LIMIT {SEQUENCE_AT_MOST}"
        )
        ids = [id for (id,) in cursor.fetchall()]
        if not ids:
            return Pass.DONE
        cursor.executemany(
            f"INSERT INTO {POSITIONS} (position, event_id) VALUES (%s, %s)",
            list(enumerate(ids, start=(last or 0) + 1)),
        )
        cursor.execute(_LEAVE_QUEUE, (msgspec.json.encode(ids).decode(),))
        return Pass.MORE if len(ids) == SEQUENCE_AT_MOST else Pass.DONE

    def sequencer_holder(self, cursor: CursorWrapper) -> str:
        """See `Dialect.sequencer_holder`."""
        return lock_holder(cursor)

    def refuse_unfit(self, connection: BaseDatabaseWrapper, rows: Iterable[Row]) -> None:
        """See `Dialect.refuse_unfit`."""
        refuse_unfit(rows, is_mariadb=bool(getattr(connection, "mysql_is_mariadb", False)))

    def begins_anew(self, error: OperationalError) -> bool:
        """See `Dialect.begins_anew`."""
        return bool(error.args and error.args[0] in _BEGIN_ANEW)

    def is_lost_race(self, error: IntegrityError) -> bool:
        """See `Dialect.is_lost_race`."""
        number, text = (*error.args, None, "")[:2]
        return number == _DUPLICATE_ENTRY and LOST_RACE_CONSTRAINT in str(text)


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows, so many at a time as fit into a statement."""
    first, size = 0, 0
    for number, row in enumerate(rows):
        size += len(row.data) + len(row.metadata) + len(row.stream)
        if size > STATEMENT_CHARACTERS:
            yield rows[first : number + 1]
            first, size = number + 1, 0
    if first < len(rows):
        yield rows[first:]


def _is_read_committed(connection: BaseDatabaseWrapper) -> bool:
    """Whether the settings ask for it, as Django's do by themselves."""
    return bool(getattr(connection, "isolation_level", None) == "read committed")
