"""The durable store: events in a table of the project's own database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.store.dialect import Dialect
from rill_django.store.mysql import MySQL
from rill_django.store.postgresql import PostgreSQL
from rill_django.store.protocol import EMPTY_STREAM, WrongExpectedVersion
from rill_django.store.reader import Reader
from rill_django.store.selection import Selection
from rill_django.store.sqlite import SQLite
from rill_django.store.tables import Event, Position, Unsequenced

_DIALECTS: dict[str, Dialect] = {one.vendor: one for one in (SQLite(), PostgreSQL(), MySQL())}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return what is peculiar to the connection's database.

    Raises:
        ImproperlyConfigured: the database is not supported.
    """
    try:
        return _DIALECTS[connection.vendor]
    except KeyError:
        raise ImproperlyConfigured(
            f"rill_django cannot keep events on {connection.display_name}. "
            f"It can on: {', '.join(sorted(_DIALECTS))}."
        ) from None


class DjangoEventStore:
    """Keeps events in the table of the `Event` model. See `EventStore`.

    Args:
        using: alias of the database; default: where the routers send writes of `Event`.
    """

    def __init__(self, using: str | None = None) -> None:
        self._using = using

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
        self, stream: str, expected_version: int, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent]:
        """See `EventStore.append`."""
        if not events:
            return ()
        connection = self._connection
        dialect = dialect_of(connection)
        try:
            with self._all_or_nothing(connection, dialect), connection.cursor() as cursor:
                recorded_at = dialect.append(cursor, stream, expected_version, events)
        except IntegrityError as error:
            if not dialect.is_lost_race(error):
                raise
            recorded_at = None
        if recorded_at is None:
            raise WrongExpectedVersion(stream, expected_version, self.version(stream))
        return [
            StoredEvent(stream, version, None, event.type, event.data, event.metadata, recorded_at)
            for version, event in enumerate(events, start=expected_version + 1)
        ]

    @contextmanager
    def _all_or_nothing(self, connection: BaseDatabaseWrapper, dialect: Dialect) -> Iterator[None]:
        # One statement outside a transaction needs none. Inside the caller's, a savepoint keeps that
        # one usable when the race is lost.
        alone = dialect.appends_in_one_statement and not connection.in_atomic_block
        with nullcontext() if alone else transaction.atomic(using=self.using):
            yield

    def load(self, stream: str, from_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.load`."""
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).load(cursor, stream, from_version)

    def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        events = Event.objects.using(self.using).filter(stream=stream)
        last: int | None = events.aggregate(last=Max("version"))["last"]
        return EMPTY_STREAM if last is None else last

    def head(self) -> int:
        """See `EventStore.head`."""
        self.sequence()
        last = Position.objects.using(self.using).aggregate(last=Max("position"))["last"]
        return last or 0

    def read(self) -> Reader:
        """See `EventStore.read`."""
        return Reader(self)

    def fetch(self, selection: Selection) -> Sequence[StoredEvent]:
        """See `EventStore.fetch`."""
        if selection.stream is None:
            self.sequence()
        connection = self._connection
        with connection.cursor() as cursor:
            return dialect_of(connection).fetch(connection, cursor, selection)

    def sequence(self) -> None:
        """Give positions to the committed events that have none, unless somebody else is at it.

        Done in a transaction of its own. Inside a transaction of the caller's it is left to others,
        who would have to wait for the caller's end otherwise.
        """
        connection = self._connection
        dialect = dialect_of(connection)
        if dialect.sequences_on_append or not Unsequenced.objects.using(self.using).exists():
            return
        if _inside_callers_transaction(connection):
            return
        while dialect.sequence(connection):
            pass

    def after_commit(self, callback: Callable[[], object]) -> None:
        """See `EventStore.after_commit`."""
        transaction.on_commit(callback, using=self.using)


def _inside_callers_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether an atomic block is open that is more than a TestCase's; what ``durable`` asks, too."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
