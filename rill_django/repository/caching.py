"""The repository that remembers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import msgspec

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.limits import Limits
from rill_django.domain.records import StoredEvent
from rill_django.domain.state import of_its_own
from rill_django.repository.inline import Inline
from rill_django.repository.plain import Listener, Repository, refuse_uncommitted
from rill_django.store.protocol import EventStore

A = TypeVar("A", bound=Aggregate)


MAX_BYTES = 20_000_000
"""Most bytes of states that are kept, as JSON, unless told otherwise. As values they take far more."""

UNMEASURED_BYTES = 2_000
"""As long as fewer bytes of payloads have come to an aggregate, its state is not measured."""


class _Cached(NamedTuple):
    """An aggregate that is kept.

    Attributes:
        aggregate: at the version of its last committed event.
        last: that event, as proof that the store still is the one it came from.
        measured: bytes of its state when that was measured last; 0: never.
        since: bytes of the payloads that have been applied since then.
    """

    aggregate: Any
    last: StoredEvent
    measured: int
    since: int

    @property
    def size(self) -> int:
        """About how many bytes its state has."""
        return self.measured + self.since


class CachingRepository(Repository):
    """Keeps the aggregates it has seen, and reads only what is newer. Always up to date.

    An aggregate that holds an object that can be changed, and cannot be frozen, is copied on its way in and
    out, so that nobody else has the same one.

    What was seen inside a transaction is kept only once that is committed. Should the log have been
    replaced (a restored backup, a test's rollback), that is noticed and the aggregate read anew.

    Args:
        size: number of aggregates kept; the least recently used go first.
        max_bytes: most bytes of all states together, as JSON; likewise. Larger ones are not kept.
    """

    def __init__(
        self,
        store: EventStore,
        listeners: Sequence[Listener] = (),
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        inline: Inline | None = None,
        size: int = 20_000,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(store, listeners, limits=limits, inline=inline)
        self._size = size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = Lock()
        self._cache: OrderedDict[tuple[type[Aggregate], str], _Cached] = OrderedDict()

    def update(self, aggregate: A) -> A:
        """See `Repository.update`."""
        refuse_uncommitted(aggregate)
        stream = aggregate.stream
        key = (type(aggregate), stream)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
        if cached is None or cached.aggregate.version < aggregate.version:
            return self._fetch(aggregate)
        known: A = of_its_own(cached.aggregate)
        stored = self.store.load(stream, cached.aggregate.version)
        if not stored or not _is_same(stored[0], cached.last):
            self.forget(aggregate)
            return self._fetch(aggregate.emptied())
        if len(stored) == 1:
            return known
        newer = self._replayed(known, stored[1:])
        self._committed(newer, stored[1:])
        return newer

    def _fetch(self, aggregate: A) -> A:
        caught_up, stored = self._caught_up(aggregate)
        if stored:
            self._committed(caught_up, stored)
        return caught_up

    def _committed(self, aggregate: Aggregate, stored: Sequence[StoredEvent]) -> None:
        if self._size <= 0:
            return
        try:
            kept = of_its_own(aggregate)
        except Exception:  # Whatever its own objects raise.
            self.forget(aggregate)  # What cannot be copied would be shared.
            return
        last, grown = stored[-1], sum([len(one.data) for one in stored])
        self.store.after_commit(lambda: self._keep(kept, last, grown))

    def _keep(self, aggregate: Aggregate, last: StoredEvent, grown: int) -> None:
        key = (type(aggregate), aggregate.stream)
        with self._lock:
            known = self._drop(key)
            measured, since = (known.measured, known.since + grown) if known else (0, grown)
            # Measuring takes as long as the state is large: only when that may have grown by half.
            if since > max(measured // 2, UNMEASURED_BYTES):
                measured, since = _measured(aggregate, measured + since), 0
            cached = _Cached(aggregate, last, measured, since)
            if cached.size > self._max_bytes:
                return
            self._cache[key] = cached
            self._bytes += cached.size
            while len(self._cache) > self._size or self._bytes > self._max_bytes:
                self._drop(next(iter(self._cache)))

    def _drop(self, key: tuple[type[Aggregate], str]) -> _Cached | None:
        dropped = self._cache.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size
        return dropped

    def forget(self, aggregate: Aggregate) -> None:
        """Drop an aggregate from the cache."""
        with self._lock:
            self._drop((type(aggregate), aggregate.stream))

    def clear(self) -> None:
        """Drop all aggregates from the cache."""
        with self._lock:
            self._cache.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._cache)


def _is_same(one: StoredEvent, other: StoredEvent) -> bool:
    # Not by payload: a database may give JSON back in another form than it was given.
    return (one.version, one.type, one.recorded_at) == (
        other.version,
        other.type,
        other.recorded_at,
    )


def _measured(aggregate: Aggregate, otherwise: int) -> int:
    """Return how many bytes an aggregate has as JSON; if it has no such form, what it was taken for."""
    try:
        return len(msgspec.json.encode(aggregate, enc_hook=str))
    except (TypeError, ValueError):
        return otherwise
