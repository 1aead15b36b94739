"""What differs between databases, and the standard SQL that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.domain.records import StoredEvent
from rill_django.store.floor import Floor
from rill_django.store.guards import EVENTS as EVENTS
from rill_django.store.guards import POSITIONS as POSITIONS
from rill_django.store.guards import UNSEQUENCED as UNSEQUENCED
from rill_django.store.guards import Guards
from rill_django.store.moments import now, utc_text
from rill_django.store.pages import PLACE_IN_ROW, Read, read_up_to_bytes, with_long_texts
from rill_django.store.protocol import WAITING_COUNTED_AT_MOST, Waiting
from rill_django.store.selection import Selection


class Row(NamedTuple):
    """An event as it is inserted."""

    stream: str
    version: int
    type: str
    data: str
    metadata: str
    recorded_at: datetime | None


def expected_versions(rows: Sequence[Row]) -> dict[str, int]:
    """Return, by stream, the version that it must be at for the rows to be inserted."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.stream, row.version - 1)
    return first


STATEMENT_SECONDS = 20
"""How long a statement of the sequencer may take before the database ends it."""

IDLE_SECONDS = 10
"""How long a sequencer may let the database wait between two statements before its connection is ended."""


STREAMS_PER_STATEMENT = 5_000
"""Databases limit what one statement can ask for, SQLite to 32,766 values."""


def _in_parts(streams: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yield different streams, not too many at a time, with their places in a statement."""
    names = list(dict.fromkeys(streams))
    for start in range(0, len(names), STREAMS_PER_STATEMENT):
        some = names[start : start + STREAMS_PER_STATEMENT]
        yield some, ", ".join(["%s"] * len(some))


class IdsTooOld(Exception):
    """An append took so long that its events might be passed over; it has to begin anew."""


class Look(NamedTuple):
    """What a look at the end of the log has seen.

    Attributes:
        last: the last position, 0 for none.
        last_event: id of the event that has it.
        first: the lowest id of an event that waits for a position; ``None``: none does.
        seen: what the dialect's `Floor` learns from.
    """

    last: int
    last_event: int | None = None
    first: int | None = None
    seen: object = None


class Pass(Enum):
    """What has become of a try to give positions."""

    DONE = "nothing is left that was committed when it began"
    MORE = "there may be more"
    BUSY = "somebody else is at it"


class Dialect:
    """Says to one kind of database what the store wants of it."""

    vendor: str
    time_text = "{}"
    """How a time is read in the form that is the quickest to make a datetime of."""
    json_text = "{}"
    """How a JSON column is read as text."""
    in_share = "MD5(e.stream) >= %s AND MD5(e.stream) < %s"
    """Whether an event is of one share of all streams; with `share_parameters`."""
    appends_in_one_statement: bool
    """Whether an append needs no transaction round it."""
    sequences_on_append: bool
    """Whether events get their positions in the transaction that appends them."""

    is_short: str | None = None
    """Condition that a text is short, told without reading it; ``None``: rows are read one by one anyhow."""
    log_source: str
    """Positions ``p`` joined with events ``e``, in a form that makes the database begin with positions.

    Left to itself it may sort all events to find the first thousand, above all while it has no
    statistics yet: 130 ms a page instead of 4, as measured on PostgreSQL.
    """
    time_index: tuple[str, ...] = ()
    """Statements that make times searchable where that costs an append next to nothing."""
    clock = ""
    """The time in UTC, without a zone; empty: the database's clock is that of the process."""
    guards: Guards
    """What makes the database itself refuse to change the log."""

    @property
    def reason_against_driver(self) -> str:
        """Why the database's driver that Django has found cannot be used, and what to do; or nothing."""
        return ""

    def append(self, cursor: CursorWrapper, rows: Sequence[Row]) -> datetime | None:
        """Insert rows in one statement, if every stream is at the version before its first row.

        Returns:
            The time that the database gave to those that have none; ``None``: nothing was inserted.
        """
        raise NotImplementedError

    def new_floor(self) -> Floor:
        """Return what can learn from looks where the next ones may begin."""
        return Floor()

    def look(self, cursor: CursorWrapper, floor: Floor) -> Look:
        """Look at the last position and at what waits for one, in one small query."""
        raise NotImplementedError

    def refuse_unfit(self, connection: BaseDatabaseWrapper, rows: Iterable[Row]) -> None:
        """Refuse events that this database cannot hold as they are; part of an append.

        Raises:
            InvalidMessage: there is one.
        """

    def leave_queue(self, cursor: CursorWrapper) -> int:
        """Take events out of the queue that have their positions already; return how many there were.

        The store never queues such an event. Somebody else's does not let the others have theirs.
        """
        cursor.execute(
            f"DELETE FROM {UNSEQUENCED} WHERE event_id IN (SELECT event_id FROM {POSITIONS})"
        )
        return int(cursor.rowcount)

    def last_waiting(self, cursor: CursorWrapper, floor: Floor) -> int | None:
        """Return the highest id of an event that waits for a position."""
        raise NotImplementedError

    def sequence(self, connection: BaseDatabaseWrapper, floor: Floor) -> Pass:
        """Give the next positions to visible events that have none, unless somebody else is at it."""
        raise NotImplementedError

    def sequencer_holder(self, cursor: CursorWrapper) -> str:
        """Say who holds the sequencer's lock, and how to end that; empty: the database does not say."""
        return ""

    def _count_waiting(
        self, cursor: CursorWrapper, queue: Callable[[int], str], age: str, parameters: Any = None
    ) -> Waiting:
        """Count what waits.

        Args:
            cursor: to the database.
            queue: returns a selection of the first ids that wait, at least so many.
            age: seconds since an event ``e`` was recorded, by the database's clock.
            parameters: of these.
        """
        cursor.execute(
            f"SELECT number, {age} FROM (SELECT COUNT(*) AS number, MIN(event_id) AS first FROM "
            f"({queue(WAITING_COUNTED_AT_MOST)}) AS queued) AS waiting "
            f"LEFT JOIN {EVENTS} e ON e.id = waiting.first",
            parameters,
        )
        number, seconds = cursor.fetchone()
        return Waiting(min(number, WAITING_COUNTED_AT_MOST), max(0.0, float(seconds or 0)))

    def is_lost_race(self, error: IntegrityError) -> bool:
        """Whether the error is that the stream already has an event of that version."""
        raise NotImplementedError

    def begins_anew(self, error: OperationalError) -> bool:
        """Whether the database has ended this transaction because of others: begun anew, it may succeed."""
        return False

    def utc(self, value: str | datetime) -> datetime:
        """Return a time read from the database as an aware one, in UTC."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if value.tzinfo is timezone.utc:
            return value
        return (
            value.replace(tzinfo=timezone.utc)
            if value.tzinfo is None
            else value.astimezone(timezone.utc)
        )

    def share_parameters(self, selection: Selection) -> tuple[Any, ...]:
        """Return what `in_share` asks for."""
        return selection.share_bounds

    def time_parameter(self, value: datetime) -> Any:
        """Return a time in the form that this database compares its column with."""
        return utc_text(value)

    def now(self, cursor: CursorWrapper) -> datetime:
        """Return the time by the database's clock, in UTC."""
        if not self.clock:
            return now()
        cursor.execute(f"SELECT {self.clock}")
        (found,) = cursor.fetchone()
        return self.utc(found)

    def waiting(self, cursor: CursorWrapper, floor: Floor) -> Waiting:
        """Return how many visible events have no position, and how old the first of them is."""
        return Waiting(0, 0.0)

    def load(self, cursor: CursorWrapper, stream: str, from_version: int) -> list[StoredEvent]:
        """Read a stream without its positions."""
        cursor.execute(
            f"SELECT version, type, {self.json_text.format('data')}, "
            f"{self.json_text.format('metadata')}, {self.time_text.format('recorded_at')} "
            f"FROM {EVENTS} WHERE stream = %s AND version >= %s ORDER BY version",
            (stream, from_version),
        )
        return [
            StoredEvent(
                stream, version, None, type, data.encode(), metadata.encode(), self.utc(time)
            )
            for version, type, data, metadata, time in cursor.fetchall()
        ]

    def versions(self, cursor: CursorWrapper, streams: Sequence[str]) -> dict[str, int]:
        """Return the last version of each stream that has events."""
        found: dict[str, int] = {}
        for some, places in _in_parts(streams):
            cursor.execute(
                f"SELECT stream, MAX(version) FROM {EVENTS} WHERE stream IN ({places}) GROUP BY stream",
                some,
            )
            found.update(cursor.fetchall())
        return found

    def load_all(self, cursor: CursorWrapper, streams: Sequence[str]) -> list[StoredEvent]:
        """Read many streams without their positions, each in the order of versions."""
        found: list[StoredEvent] = []
        for some, places in _in_parts(streams):
            cursor.execute(
                f"SELECT stream, version, type, {self.json_text.format('data')}, "
                f"{self.json_text.format('metadata')}, {self.time_text.format('recorded_at')} "
                f"FROM {EVENTS} WHERE stream IN ({places}) ORDER BY stream, version",
                some,
            )
            found += [
                StoredEvent(
                    stream, version, None, type, data.encode(), metadata.encode(), self.utc(time)
                )
                for stream, version, type, data, metadata, time in cursor.fetchall()
            ]
        return found

    def identities_at(self, cursor: CursorWrapper, positions: Collection[int]) -> dict[int, str]:
        """Return ``stream@version`` of the events at these positions, without reading their payloads."""
        places = ", ".join(["%s"] * len(positions))
        cursor.execute(
            f"SELECT p.position, e.stream, e.version FROM {POSITIONS} p "
            f"JOIN {EVENTS} e ON e.id = p.event_id WHERE p.position IN ({places})",
            tuple(positions),
        )
        found = cursor.fetchall()
        return {position: f"{stream}@{version}" for position, stream, version in found}

    def fetch(self, cursor: CursorWrapper, selection: Selection) -> list[StoredEvent]:
        """Read a selection, by key. See `EventStore.fetch` for where a page ends."""
        conditions, parameters = self._conditions(selection)
        if selection.stream is None:
            source = self.log_source
        else:
            source = f"{EVENTS} e LEFT JOIN {POSITIONS} p ON p.event_id = e.id"
        place = _place(selection)
        direction = "DESC" if selection.backwards else "ASC"
        limit = "" if selection.limit is None else f" LIMIT {selection.limit:d}"
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        data, metadata = (self.json_text.format(name) for name in ("e.data", "e.metadata"))
        if selection.max_bytes is not None and self.is_short is not None:
            # Long ones follow by themselves, a few at a time: nobody knows yet how many are wanted.
            data = f"CASE WHEN {self.is_short.format('e.data')} THEN {data} END"
            metadata = f"CASE WHEN {self.is_short.format('e.metadata')} THEN {metadata} END"
        cursor.execute(
            f"SELECT e.stream, e.version, p.position, e.type, {data}, {metadata}, "
            f"{self.time_text.format('e.recorded_at')} "
            f"FROM {source} {where}ORDER BY {place} {direction}{limit}",
            parameters,
        )
        if selection.max_bytes is None:
            rows: Iterable[Read] = cursor.fetchall()
        elif self.is_short is None:
            rows = read_up_to_bytes(cursor.fetchmany, selection.max_bytes)
        else:
            rows = with_long_texts(
                cursor.fetchall(), partial(self._texts, cursor, selection), selection.max_bytes
            )
        return [
            StoredEvent(
                stream, version, position, type, data.encode(), metadata.encode(), self.utc(time)
            )
            for stream, version, position, type, data, metadata, time in rows
        ]

    def _texts(
        self, cursor: CursorWrapper, selection: Selection, rows: Sequence[Read]
    ) -> list[tuple[str, str]]:
        """Return payloads and metadata of some events of a selection, in the order given."""
        number = PLACE_IN_ROW[selection.stream is not None]
        wanted = [row[number] for row in rows]
        places = ", ".join(["%s"] * len(wanted))
        of_stream = "" if selection.stream is None else "e.stream = %s AND "
        source = self.log_source if selection.stream is None else f"{EVENTS} e"
        place = _place(selection)
        cursor.execute(
            f"SELECT {place}, {self.json_text.format('e.data')}, {self.json_text.format('e.metadata')} "
            f"FROM {source} WHERE {of_stream}{place} IN ({places})",
            [*([] if selection.stream is None else [selection.stream]), *wanted],
        )
        found = {at: (data, metadata) for at, data, metadata in cursor.fetchall()}
        return [found[at] for at in wanted]

    def _conditions(self, selection: Selection) -> tuple[list[str], list[Any]]:
        beyond, onwards, until = ("<", "<=", ">=") if selection.backwards else (">", ">=", "<=")
        conditions: list[str] = []
        parameters: list[Any] = []

        def ask(condition: str, *values: Any) -> None:
            conditions.append(condition)
            parameters.extend(values)

        if selection.stream is not None:
            ask("e.stream = %s", selection.stream)
        if selection.category is not None:
            ask("e.stream >= %s AND e.stream < %s", *selection.category_bounds)
        if selection.types:
            places = ", ".join(["%s"] * len(selection.types))
            ask(f"e.type IN ({places})", *sorted(selection.types))
        if selection.after is not None:
            ask(f"p.position {beyond} %s", selection.after)
        if selection.up_to is not None:
            ask(f"p.position {until} %s", selection.up_to)
        if selection.from_version is not None:
            ask(f"e.version {onwards} %s", selection.from_version)
        if selection.share is not None:
            ask(self.in_share, *self.share_parameters(selection))
        if selection.as_of is not None:
            ask("e.recorded_at <= %s", self.time_parameter(selection.as_of))
        return conditions, parameters


def _place(selection: Selection) -> str:
    """Return the column that a selection is ordered by."""
    return "p.position" if selection.stream is None else "e.version"
