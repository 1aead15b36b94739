"""The repository that remembers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.records import StoredEvent
from rill_django.domain.state import of_its_own
from rill_django.repository.inline import Inline
from rill_django.repository.limits import Limits
from rill_django.repository.plain import Listener, Repository, refuse_uncommitted
from rill_django.store.protocol import EventStore

A = TypeVar("A", bound=Aggregate)


class _Cached(NamedTuple):
    aggregate: Any
    last: StoredEvent
    """The event at the aggregate's version, as proof that the store still is the one it came from."""


class CachingRepository(Repository):
    """Keeps the aggregates it has seen, and reads only what is newer. Always up to date.

    An aggregate that holds an object that can be changed, and cannot be frozen, is copied on its way in and
    out, so that nobody else has the same one.

    What was seen inside a transaction is kept only once that is committed. Should the log have been
    replaced (a restored backup, a test's rollback), that is noticed and the aggregate read anew.

    Args:
        size: number of aggregates kept; the least recently used go first.
    """

    def __init__(
        self,
        store: EventStore,
        listeners: Sequence[Listener] = (),
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        inline: Inline | None = None,
        size: int = 20_000,
    ) -> None:
        super().__init__(store, listeners, limits=limits, inline=inline)
        self._size = size
        self._lock = Lock()
        self._cache: OrderedDict[tuple[type[Aggregate], str], _Cached] = OrderedDict()

    def update(self, aggregate: A) -> A:
        """See `Repository.update`."""
        refuse_uncommitted(aggregate)
        key = (type(aggregate), aggregate.stream)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
        if cached is None or cached.aggregate.version < aggregate.version:
            return self._fetch(aggregate)
        known: A = of_its_own(cached.aggregate)
        stored = self.store.load(aggregate.stream, cached.aggregate.version)
        if not stored or not _is_same(stored[0], cached.last):
            self.forget(aggregate)
            return self._fetch(aggregate.emptied())
        if len(stored) == 1:
            return known
        newer = self._replayed(known, stored[1:])
        self._committed(newer, stored[-1])
        return newer

    def _fetch(self, aggregate: A) -> A:
        caught_up, last = self._caught_up(aggregate)
        if last is not None:
            self._committed(caught_up, last)
        return caught_up

    def _committed(self, aggregate: Aggregate, last: StoredEvent) -> None:
        try:
            kept = of_its_own(aggregate)
        except Exception:  # Whatever its own objects raise.
            self.forget(aggregate)  # What cannot be copied would be shared.
            return
        self.store.after_commit(lambda: self._keep(kept, last))

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

    def clear(self) -> None:
        """Drop all aggregates from the cache."""
        with self._lock:
            self._cache.clear()

    def __len__(self) -> int:
        return len(self._cache)


def _is_same(one: StoredEvent, other: StoredEvent) -> bool:
    # Not by payload: a database may give JSON back in another form than it was given.
    return (one.version, one.type, one.recorded_at) == (
        other.version,
        other.type,
        other.recorded_at,
    )
