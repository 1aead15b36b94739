"""From streams to aggregates and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.codec import decode_events, encode_event, encode_metadata
from rill_django.domain.metadata import current_metadata
from rill_django.domain.records import RecordedEvent, StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.results import Conflict, Ok, Rejected, Result
from rill_django.store.protocol import EventStore, WrongExpectedVersion

A = TypeVar("A", bound=Aggregate)

Listener = Callable[[Sequence[RecordedEvent]], object]
"""Gets the events of a commit, once it is final."""


def replay(aggregate: A, events: Iterable[RecordedEvent]) -> A:
    """Return the aggregate with stored events applied. Events it does not know leave it as it is."""
    version = aggregate.version
    kind = type(aggregate)
    for event in events:
        definition = getattr(event.message, "definition", None)
        if definition is not None and definition.aggregate is kind:
            aggregate = definition.apply_recorded(aggregate, event.message)
        version = event.version
    return msgspec.structs.replace(aggregate, _version=version)


class Repository:
    """Fetches aggregates from a store and commits their new events to it. Keeps nothing.

    Args:
        store: where the events are.
        listeners: called with the events of every commit, once it is final.
    """

    def __init__(self, store: EventStore, listeners: Sequence[Listener] = ()) -> None:
        self.store = store
        self._listeners = tuple(listeners)

    def get(self, aggregate: type[A], *keys: Any, **named_keys: Any) -> A:
        """Fetch by key. A stream with no events gives the empty aggregate.

        Raises:
            InvalidMessage: a key has the wrong type.
            UnreadableEvent: a stored event does not fit today's code.
        """
        return self.update(aggregate(*keys, **named_keys))

    def update(self, aggregate: A) -> A:
        """Return the aggregate with all events applied that its stream has beyond its version.

        Raises:
            ValueError: the aggregate has uncommitted events, which would come out of order.
        """
        _refuse_uncommitted(aggregate)
        return self._caught_up(aggregate)[0]

    def _caught_up(self, aggregate: A) -> tuple[A, StoredEvent | None]:
        """Return the aggregate up to date, and the last event that was read."""
        stored = self.store.load(aggregate.stream, aggregate.version + 1)
        if not stored:
            return aggregate, None
        events = decode_events(stored, current_registry())
        caught_up = replay(aggregate, events)
        # An upcaster may have dropped the last events; their versions count all the same.
        caught_up = msgspec.structs.replace(caught_up, _version=stored[-1].version)
        return caught_up, stored[-1]

    def commit(
        self, decision: A | Rejected, *, metadata: Mapping[str, Any] | None = None
    ) -> Result[A]:
        """Store the new events of an aggregate; pass a rejection through.

        Args:
            decision: what a command returned.
            metadata: added to what the context carries.

        Returns:
            `Ok`, also when there was nothing to store; `Rejected`; or `Conflict` if the stream has
            moved on since the aggregate was fetched.
        """
        if isinstance(decision, Rejected):
            return decision
        if not decision.new_events:
            return Ok(decision)
        encoded = encode_metadata({**current_metadata(), **(metadata or {})})
        new = [encode_event(message, encoded) for message in decision.new_events]
        try:
            stored = self.store.append(decision.stream, decision.version, new)
        except WrongExpectedVersion as lost:
            return Conflict(lost.stream, lost.expected_version, lost.actual_version)
        committed = msgspec.structs.replace(decision, _version=stored[-1].version, _new_events=())
        events = tuple(decode_events(stored, current_registry()))
        self._committed(committed, stored[-1])
        if self._listeners:
            self.store.after_commit(lambda: self._tell(events))
        return Ok(committed, events)

    def _committed(self, aggregate: Aggregate, last: StoredEvent) -> None:
        """Take note of an aggregate whose events are stored, if maybe not committed yet."""

    def _tell(self, events: Sequence[RecordedEvent]) -> None:
        for listener in self._listeners:
            listener(events)


class _Cached(NamedTuple):
    aggregate: Any
    last: StoredEvent
    """The event at the aggregate's version, as proof that the store still is the one it came from."""


class CachingRepository(Repository):
    """Keeps the aggregates it has seen, and reads only what is newer. Always up to date.

    What was seen inside a transaction is kept only once that is committed. Should the log have been
    replaced (a restored backup, a test's rollback), that is noticed and the aggregate read anew.

    Args:
        size: number of aggregates kept; the least recently used go first.
    """

    def __init__(
        self, store: EventStore, listeners: Sequence[Listener] = (), *, size: int = 20_000
    ) -> None:
        super().__init__(store, listeners)
        self._size = size
        self._lock = Lock()
        self._cache: OrderedDict[tuple[type[Aggregate], str], _Cached] = OrderedDict()

    def update(self, aggregate: A) -> A:
        """See `Repository.update`."""
        _refuse_uncommitted(aggregate)
        key = (type(aggregate), aggregate.stream)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
        if cached is None or cached.aggregate.version < aggregate.version:
            return self._fetch(aggregate)
        stored = self.store.load(aggregate.stream, cached.aggregate.version)
        if not stored or not _is_same(stored[0], cached.last):
            self.forget(aggregate)
            return self._fetch(aggregate.emptied())
        if len(stored) == 1:
            return cast("A", cached.aggregate)
        newer: A = replay(cached.aggregate, decode_events(stored[1:], current_registry()))
        newer = msgspec.structs.replace(newer, _version=stored[-1].version)
        self._committed(newer, stored[-1])
        return newer

    def _fetch(self, aggregate: A) -> A:
        caught_up, last = self._caught_up(aggregate)
        if last is not None:
            self._committed(caught_up, last)
        return caught_up

    def _committed(self, aggregate: Aggregate, last: StoredEvent) -> None:
        self.store.after_commit(lambda: self._keep(aggregate, last))

    def _keep(self, aggregate: Aggregate, last: StoredEvent) -> None:
        if self._size <= 0:
            return
        key = (type(aggregate), aggregate.stream)
        with self._lock:
            self._cache[key] = _Cached(aggregate, last)
            self._cache.move_to_end(key)
            while len(self._cache) > self._size:
                self._cache.popitem(last=False)

    def forget(self, aggregate: Aggregate) -> None:
        """Drop an aggregate from the cache."""
        with self._lock:
            self._cache.pop((type(aggregate), aggregate.stream), None)

    def __len__(self) -> int:
        return len(self._cache)


def _refuse_uncommitted(aggregate: Aggregate) -> None:
    if aggregate.uncommitted:
        raise ValueError(
            f"{aggregate!r} has uncommitted events; newer ones from the store cannot go before them. "
            "Commit it, or fetch it anew."
        )


def _is_same(one: StoredEvent, other: StoredEvent) -> bool:
    # Not by payload: a database may give JSON back in another form than it was given.
    return (one.version, one.type, one.recorded_at) == (
        other.version,
        other.type,
        other.recorded_at,
    )
