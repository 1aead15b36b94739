"""Reads the log as it is, damage and all: a row that cannot be read is told, and does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.records import StoredEvent
from rill_django.integrity.findings import Damage, Findings
from rill_django.store.migrated import NotMigrated
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.pages import PAGE_BYTES, bytes_of
from rill_django.store.reader import PAGE_SIZE
from rill_django.store.selection import Selection
from rill_django.store.tables import Position

T = TypeVar("T")

_COLUMNS = {
    "stream": str,
    "version": int,
    "type": str,
    "data": None,
    "metadata": None,
    "recorded_at": datetime,
}
_NO_TIME = datetime.min.replace(tzinfo=timezone.utc)
_UNREADABLE = -1
"""Version that stands for a row that cannot be read."""


def connection_of(store: DjangoEventStore) -> BaseDatabaseWrapper:
    """Return the connection to the log."""
    connection = connections[store.using]
    assert isinstance(connection, BaseDatabaseWrapper)
    return connection


def is_trouble_of_the_database(error: Exception, connection: BaseDatabaseWrapper) -> bool:
    """Whether an error says nothing about what is stored: no connection, or tables of another release."""
    if isinstance(error, NotMigrated):
        return True
    return isinstance(error, (OperationalError, InterfaceError)) and not connection.is_usable()


def read(work: Callable[[], T], otherwise: T, store: DjangoEventStore) -> T:
    """Return what is read, or something else if it cannot be read: bytes that are no text, and the like."""
    try:
        return work()
    except Exception as error:
        if is_trouble_of_the_database(error, connection_of(store)):
            raise
        return otherwise


def pages(
    store: DjangoEventStore, after: int, upto: int, findings: Findings
) -> Iterator[Sequence[StoredEvent]]:
    """Yield the events of some positions, in pages that are bounded in bytes.

    In place of rows that cannot be read, which are noted, there are events that `is_unreadable`.

    Args:
        after, upto: the positions are greater than ``after``, up to ``upto``.
    """
    while after < upto:
        size = min(PAGE_SIZE, upto - after)
        try:
            page: Sequence[StoredEvent] = _fetch(store, after, size)
            is_full = len(page) == size or bytes_of(page) >= PAGE_BYTES
        except Exception as error:
            if is_trouble_of_the_database(error, connection_of(store)):
                raise
            page = list(_row_by_row(store, after, size))
            is_full = len(page) == size
        page = [_told(event, store, findings) for event in page if (event.position or 0) <= upto]
        yield page
        if not is_full or not page:
            return
        after = page[-1].position or 0


def is_unreadable(event: StoredEvent) -> bool:
    """Whether an event only stands for a row."""
    return event.recorded_at is _NO_TIME


def _fetch(store: DjangoEventStore, after: int, size: int) -> Sequence[StoredEvent]:
    # Not by the store, which gives positions before it reads.
    connection = connection_of(store)
    with connection.cursor() as cursor:
        selection = Selection(after=after, limit=size, max_bytes=PAGE_BYTES)
        return dialect_of(connection).fetch(cursor, selection)


def _row_by_row(store: DjangoEventStore, after: int, size: int) -> Iterator[StoredEvent]:
    places = Position.objects.using(store.using).filter(position__gt=after).order_by("position")
    for position in places.values_list("position", flat=True)[:size].iterator():
        try:
            yield from _fetch(store, position - 1, 1)
        except Exception as error:
            if is_trouble_of_the_database(error, connection_of(store)):
                raise
            yield _unreadable(position)


def _unreadable(position: int | None) -> StoredEvent:
    return StoredEvent("", _UNREADABLE, position, "", b"{}", b"{}", _NO_TIME)


def _told(event: StoredEvent, store: DjangoEventStore, findings: Findings) -> StoredEvent:
    """Return the event, having noted what of its row cannot be read."""
    # SQLite takes anything into any column.
    is_sound = type(event.version) is type(event.position) is int and (
        type(event.stream) is type(event.type) is str
    )
    if is_sound and not is_unreadable(event):
        return event
    position = event.position or 0
    findings.events += 1
    what = "; ".join(_faults(store, position)) or "it cannot be read"
    findings.note(Damage.ROW, position, f"position {position:,}: {what}")
    return _unreadable(event.position)


def _faults(store: DjangoEventStore, position: int) -> Iterator[str]:
    row = Position.objects.using(store.using).filter(position=position)
    for column, kind in _COLUMNS.items():
        try:
            value = row.values_list(f"event__{column}", flat=True).first()
        except Exception as error:
            if is_trouble_of_the_database(error, connection_of(store)):
                raise
            yield f"{column}: {type(error).__name__}: {error}"
        else:
            if kind is not None and type(value) is not kind:
                yield f"{column} is {_in_words(value)}"


def _in_words(value: object) -> str:
    return "nothing that can be read" if value is None else f"the wrong kind: {repr(value)[:100]}"
