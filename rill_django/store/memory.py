"""A store without a database: for tests, notebooks, and to show what the contract is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from threading import Lock
from typing import TypeVar

import msgspec

from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.store.answers import MemoryAnswers
from rill_django.store.pages import bytes_of
from rill_django.store.protocol import (
    EMPTY_STREAM,
    Append,
    ExpectedVersion,
    Waiting,
    WrongExpectedVersion,
    refuse_contradictions,
)
from rill_django.store.read_only import refuse_commit
from rill_django.store.reader import Reader
from rill_django.store.selection import Selection, digest_of
from rill_django.store.subscription import Subscription

T = TypeVar("T")


class MemoryEventStore:
    """Keeps all events in this process. Safe to use from several threads.

    Args:
        clock: returns the time that events are recorded at.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._clock = clock
        self._lock = Lock()
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self.answers = MemoryAnswers()

    def append(
        self, stream: str, expected_version: int | ExpectedVersion, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent]:
        """See `EventStore.append`."""
        return self.append_all([Append(stream, expected_version, events)])[0]

    def append_all(self, appends: Sequence[Append]) -> Sequence[Sequence[StoredEvent]]:
        """See `EventStore.append_all`."""
        refuse_commit()
        refuse_contradictions(appends)
        with self._lock:
            seen: set[str] = set()
            for append in appends:
                if append.stream not in seen:
                    self._check(append)
                if append.events:
                    seen.add(append.stream)
            now = self._clock()
            return [self._append(append, now) for append in appends]

    def _check(self, append: Append) -> None:
        expected = append.expected_version
        if expected is ExpectedVersion.ANY or not append.events:
            return
        wanted = EMPTY_STREAM if isinstance(expected, ExpectedVersion) else expected
        actual = self.version(append.stream)
        if actual != wanted:
            raise WrongExpectedVersion(append.stream, wanted, actual)

    def _append(self, append: Append, now: datetime) -> Sequence[StoredEvent]:
        last, end = self.version(append.stream), len(self._log)
        stored = [
            StoredEvent(
                stream=append.stream,
                version=last + number,
                position=end + number,
                type=event.type,
                data=event.data,
                metadata=event.metadata,
                recorded_at=event.recorded_at or now,
            )
            for number, event in enumerate(append.events, start=1)
        ]
        if stored:
            self._log.extend(stored)
            self._streams.setdefault(append.stream, []).extend(stored)
        return _without_positions(stored)

    def load(self, stream: str, from_version: int = 0) -> Sequence[StoredEvent]:
        """See `EventStore.load`."""
        return _without_positions(self._streams.get(stream, [])[max(from_version, 0) :])

    def load_all(self, streams: Sequence[str]) -> Mapping[str, Sequence[StoredEvent]]:
        """See `EventStore.load_all`."""
        return {stream: self.load(stream) for stream in streams if stream in self._streams}

    def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        return len(self._streams.get(stream, ())) + EMPTY_STREAM

    def head(self) -> int:
        """See `EventStore.head`."""
        return len(self._log)

    def sequence(self) -> int:
        """See `EventStore.sequence`."""
        return self.head()

    def identities_at(self, positions: Collection[int]) -> Mapping[int, str]:
        """See `EventStore.identities_at`."""
        found = (self._log[one - 1] for one in positions if 0 < one <= len(self._log))
        return {event.position or 0: event.identity for event in found}

    def waiting(self) -> Waiting:
        """See `EventStore.waiting`. An append gives the positions."""
        return Waiting(0, 0.0)

    def now(self) -> datetime:
        """See `EventStore.now`."""
        return self._clock()

    def read(self) -> Reader:
        """See `EventStore.read`."""
        return Reader(self)

    def fetch(self, selection: Selection) -> Sequence[StoredEvent]:
        """See `EventStore.fetch`."""
        source = self._log if selection.stream is None else self._streams.get(selection.stream, [])
        events = reversed(source) if selection.backwards else iter(source)
        found: list[StoredEvent] = []
        size = 0
        for event in events:
            if selection.limit is not None and len(found) >= selection.limit:
                break
            if _is_wanted(event, selection):
                found.append(event)
                size += bytes_of([event])
            if selection.max_bytes is not None and size >= selection.max_bytes:
                break
        return found

    def subscribe(self, *, after: int = 0) -> Subscription:
        """See `EventStore.subscribe`."""
        return self.read().after(after).subscribe()

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """See `EventStore.connection_errors`. There is no connection."""
        return ()

    def reconnect(self) -> None:
        """See `EventStore.reconnect`."""

    def begun_anew(self, work: Callable[[], T]) -> T:
        """See `EventStore.begun_anew`. Here nobody waits in a circle."""
        return work()

    def after_commit(self, callback: Callable[[], object]) -> None:
        """See `EventStore.after_commit`."""
        callback()


def _without_positions(events: Iterable[StoredEvent]) -> list[StoredEvent]:
    return [msgspec.structs.replace(event, position=None) for event in events]


def _is_wanted(event: StoredEvent, selection: Selection) -> bool:
    low, beyond = selection.category_bounds
    first, last = selection.share_bounds
    sign = -1 if selection.backwards else 1
    position = event.position or 0
    return (
        (selection.category is None or low <= event.stream < beyond)
        and (not selection.types or event.type in selection.types)
        and (selection.after is None or sign * position > sign * selection.after)
        and (selection.up_to is None or sign * position <= sign * selection.up_to)
        and (
            selection.from_version is None or sign * event.version >= sign * selection.from_version
        )
        and (selection.share is None or first <= digest_of(event.stream) < last)
        and (selection.as_of is None or event.recorded_at <= selection.as_of)
    )
