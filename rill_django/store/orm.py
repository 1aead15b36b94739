"""The durable store: events in a table of the project's own database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.store.answers import DEFAULT_LIFETIME
from rill_django.store.deadlocks import T, begun_anew
from rill_django.store.dialect import Dialect, IdsTooOld, Row
from rill_django.store.mysql import MySQL
from rill_django.store.numbering import Numbered, numbered, rows_of, timed
from rill_django.store.orm_answers import DjangoAnswers
from rill_django.store.pauses import pause_after
from rill_django.store.postgresql import PostgreSQL
from rill_django.store.protocol import (
    EMPTY_STREAM,
    LAST_POSITION,
    Append,
    ExpectedVersion,
    NoPositionLeft,
    Waiting,
    WrongExpectedVersion,
    refuse_contradictions,
)
from rill_django.store.read_only import refuse_commit
from rill_django.store.reader import Reader
from rill_django.store.refused_positions import RefusedPositions
from rill_django.store.selection import Selection
from rill_django.store.sequencer import Sequencer
from rill_django.store.sqlite import SQLite
from rill_django.store.stored_types import stored_types
from rill_django.store.subscription import Subscription
from rill_django.store.tables import Event

logger = logging.getLogger("rill_django.store")

TELL_EVERY_SECONDS = 60.0
"""Between two reports of a damage that every look at the log meets."""

DIALECTS: dict[str, Dialect] = {one.vendor: one for one in (SQLite(), PostgreSQL(), MySQL())}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return what is peculiar to the connection's database.

    Raises:
        ImproperlyConfigured: the database, or its driver, is not supported.
    """
    try:
        dialect = DIALECTS[connection.vendor]
    except KeyError:
        raise ImproperlyConfigured(
            f"rill_django cannot keep events on {connection.display_name}. "
            f"It can on: {', '.join(sorted(DIALECTS))}."
        ) from None
    if dialect.reason_against_driver:
        raise ImproperlyConfigured(dialect.reason_against_driver)
    return dialect


class DjangoEventStore:
    """Keeps events in the table of the `Event` model. See `EventStore`.

    Args:
        using: alias of the database; default: where the routers send writes of `Event`.
        answers_lifetime: how long answers to idempotency keys are remembered.
    """

    def __init__(
        self, using: str | None = None, *, answers_lifetime: timedelta = DEFAULT_LIFETIME
    ) -> None:
        self._using = using
        self.answers = DjangoAnswers(using, answers_lifetime)
        self._tell_again = 0.0
        self._refused = RefusedPositions()
        self._reached = 0
        """The last position when this was asked for last."""

    @property
    def using(self) -> str:
        """Alias of the database that holds the log."""
        return self._using or router.db_for_write(Event)

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        connection = connections[self.using]
        assert isinstance(connection, BaseDatabaseWrapper)
        return connection

    def append(
        self, stream: str, expected_version: int | ExpectedVersion, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent]:
        """See `EventStore.append`."""
        return self.append_all([Append(stream, expected_version, events)])[0]

    def append_all(
        self, appends: Sequence[Append], *, within: Callable[[Numbered], object] | None = None
    ) -> Numbered:
        """See `EventStore.append_all`.

        Args:
            appends: what to append.
            within: called with the stored events, in the transaction that appends them; what it raises
                undoes the append. Called again if a deadlock makes the append begin anew.
        """
        refuse_commit()
        refuse_contradictions(appends)
        failures = 0
        while True:
            expected = self._expected_versions(appends)
            events = numbered(appends, expected)
            rows = rows_of(appends, events)
            if not rows:
                return events
            stored = self._insert(rows, events, within)
            if stored is not None:
                return stored
            self._refuse_lost_race(appends, expected)
            failures += 1
            pause_after(failures)

    def _expected_versions(self, appends: Sequence[Append]) -> dict[str, int]:
        """Return the version that each stream has to be at; for `ANY`, the one it is at now."""
        first: dict[str, int | ExpectedVersion] = {}
        for one in appends:
            first.setdefault(one.stream, one.expected_version)
        anywhere = [stream for stream, version in first.items() if version is ExpectedVersion.ANY]
        actual = self.versions(anywhere) if anywhere else {}
        return {
            stream: actual.get(stream, EMPTY_STREAM)
            if isinstance(version, ExpectedVersion)
            else version
            for stream, version in first.items()
        }

    def _insert(
        self, rows: Sequence[Row], events: Numbered, within: Callable[[Numbered], object] | None
    ) -> Numbered | None:
        """Insert the rows; return the events with their time, or ``None`` if the race is lost."""
        connection = self._connection
        dialect = dialect_of(connection)
        # One statement outside a transaction needs none. Inside the caller's, a savepoint keeps that
        # one usable when the race is lost.
        is_alone = dialect.appends_in_one_statement and not connection.in_atomic_block

        def insert() -> Numbered | None:
            kinds = stored_types.unknown(connection, rows)
            while True:
                whole = (
                    nullcontext()
                    if is_alone and within is None and not kinds
                    else transaction.atomic(using=self.using)
                )
                try:
                    with whole, connection.cursor() as cursor:
                        recorded_at = dialect.append(cursor, rows)
                        if recorded_at is None:
                            return None
                        if kinds:
                            stored_types.note(connection, kinds)
                        stored = timed(events, recorded_at)
                        if within is not None:
                            within(stored)
                    return stored
                except IdsTooOld:
                    continue
                except IntegrityError as error:
                    if dialect.is_lost_race(error):
                        return None
                    if dialect.sequences_on_append and self._sequencer().last() == LAST_POSITION:
                        raise NoPositionLeft from None
                    raise

        # Of two batches that name the same streams in another order, one has to begin again.
        return begun_anew(insert, connection, dialect)

    def _refuse_lost_race(self, appends: Sequence[Append], expected: Mapping[str, int]) -> None:
        """Raise `WrongExpectedVersion`, unless only streams have moved that may be at any version."""
        actual = self.versions(list(expected))
        moved = False
        for append in appends:
            wanted = expected[append.stream]
            version = actual.get(append.stream, EMPTY_STREAM)
            if append.events and version != wanted:
                moved = True
                if append.expected_version is not ExpectedVersion.ANY:
                    raise WrongExpectedVersion(append.stream, wanted, version)
        if not moved:
            # Under REPEATABLE READ this transaction cannot see who was faster, and never will.
            stream = appends[0].stream
            raise WrongExpectedVersion(stream, expected[stream], expected[stream] + 1)

    def versions(self, streams: Sequence[str]) -> dict[str, int]:
        """Return the version of each stream's last event; those without events are left out."""
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).versions(cursor, streams)

    def load(self, stream: str, from_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.load`."""
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).load(cursor, stream, from_version)

    def load_all(self, streams: Sequence[str]) -> Mapping[str, Sequence[StoredEvent]]:
        """See `EventStore.load_all`."""
        if not streams:
            return {}
        connection = self._connection
        with connection.cursor() as cursor:
            stored = dialect_of(connection).load_all(cursor, streams)
        return {
            stream: list(events) for stream, events in groupby(stored, key=attrgetter("stream"))
        }

    def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        return self.versions([stream]).get(stream, EMPTY_STREAM)

    def head(self) -> int:
        """See `EventStore.head`. Inside a transaction of the caller's, the last position that there is.

        Raises:
            SequencerHeld: somebody else is giving positions, and is not done in `PATIENCE_SECONDS`.
        """
        try:
            self._reached = self._sequencer().settle()
        except NoPositionLeft as error:
            self._reached = self._tell(error)
        return self._reached

    def sequence(self) -> int:
        """See `EventStore.sequence`.

        Done in a transaction of its own. Inside a transaction of the caller's it is left to others,
        who would have to wait for the caller's end otherwise. It is left to them, too, where the database
        takes no positions from this connection, as on a server that only reads: what has one can be read.
        """
        if self._refused.is_to_be_left:
            self._reached = self._sequencer().last()
            return self._reached
        connection = self._connection
        connection.ensure_connection()
        session = connection.connection
        try:
            self._reached = self._sequencer().give()
        except NoPositionLeft as error:
            self._reached = self._tell(error)
        except DatabaseError as error:
            # Behind a transaction that has failed, Django may have a new one by now.
            is_lost = connection.connection is not session or not connection.is_usable()
            self._refused.note(error, is_lost=is_lost)
            self._reached = self._sequencer().last()
            self._say(f"Committed events wait for their positions. {self._refused.reason}")
        else:
            self._refused.end()
        return self._reached

    def _tell(self, error: NoPositionLeft) -> int:
        """Tell those who mind the log; all the rest can be read."""
        self._say(str(error))
        return LAST_POSITION

    def _say(self, text: str) -> None:
        """Log it, now and then."""
        now = time.monotonic()
        if now >= self._tell_again:
            self._tell_again = now + TELL_EVERY_SECONDS
            logger.error("%s", text)

    def waiting(self) -> Waiting:
        """See `EventStore.waiting`.

        A look that reads gives positions at once. So what waits for more than `PATIENCE_SECONDS`, while
        somebody holds the sequencer's lock, says that he does not go on. Then it takes
        `PAUSE_TO_TELL_SECONDS` to tell him from somebody who is just giving positions to old events; else
        it is cheap. On SQLite nothing ever waits.
        """
        waiting = self._sequencer().waiting()
        if waiting.number and not waiting.holder:
            return waiting._replace(holder=self._refused.reason)
        return waiting

    def now(self) -> datetime:
        """See `EventStore.now`: the database's."""
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).now(cursor)

    def _sequencer(self) -> Sequencer:
        connection = self._connection
        return Sequencer(
            connection,
            dialect_of(connection),
            is_left_to_others=inside_callers_transaction(connection),
        )

    def identities_at(self, positions: Collection[int]) -> Mapping[int, str]:
        """See `EventStore.identities_at`."""
        if not positions:
            return {}
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).identities_at(cursor, positions)

    def read(self) -> Reader:
        """See `EventStore.read`."""
        return Reader(self)

    def fetch(self, selection: Selection) -> Sequence[StoredEvent]:
        """See `EventStore.fetch`."""
        if selection.stream is None and not self._has_positions(selection):
            self.sequence()
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).fetch(cursor, selection)

    def _has_positions(self, selection: Selection) -> bool:
        """Whether all that is asked for has its position already, so that nobody need look for more."""
        if selection.backwards:
            return False
        last = selection.up_to
        if last is None and selection.limit is not None and selection.is_of_all:
            last = (selection.after or 0) + selection.limit
        return last is not None and last <= self._reached

    def faults_of_guards(self) -> list[str]:
        """Return what keeps the database from refusing to change the log, each in words. None: it refuses."""
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).guards.faults(cursor)

    def subscribe(self, *, after: int = 0) -> Subscription:
        """See `EventStore.subscribe`."""
        return self.read().after(after).subscribe()

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """See `EventStore.connection_errors`."""
        return OperationalError, InterfaceError

    def reconnect(self) -> None:
        """See `EventStore.reconnect`."""
        self._connection.close()

    def begun_anew(self, work: Callable[[], T]) -> T:
        """See `EventStore.begun_anew`."""
        connection = self._connection
        return begun_anew(work, connection, dialect_of(connection))

    def after_commit(self, callback: Callable[[], object]) -> None:
        """See `EventStore.after_commit`."""
        transaction.on_commit(callback, using=self.using)


def inside_callers_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether an atomic block is open that is more than a TestCase's; what ``durable`` asks, too."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
