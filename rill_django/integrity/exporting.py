"""The log as lines, in the order of positions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import merge

import msgspec
from django.db.models import Max, Min

from rill_django.domain.records import StoredEvent
from rill_django.integrity.lines import DEFAULT_SOURCE, to_line
from rill_django.integrity.trailer import Tally
from rill_django.store.orm import DjangoEventStore
from rill_django.store.reader import Reader
from rill_django.store.tables import Position


class Wanted(msgspec.Struct, frozen=True):
    """Which events to export. All that is given must hold.

    Attributes:
        streams: only these streams; none: all.
        category: only streams of this aggregate type.
        types: only events stored under these types; none: all.
        since: only what was recorded at this time or after.
        until: only what was recorded before this time.
        after: only positions greater than this.
    """

    streams: frozenset[str] = frozenset()
    category: str | None = None
    types: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0


class Export:
    """The wanted events of the log as it is now; what is recorded later is not in it.

    Attributes:
        after, upto: all wanted events have positions greater than ``after``, up to ``upto``.
    """

    def __init__(self, store: DjangoEventStore, wanted: Wanted) -> None:
        self._store = store
        self._wanted = wanted
        self.after, self.upto = self._bounds(wanted.after, store.head())

    def _bounds(self, after: int, upto: int) -> tuple[int, int]:
        """Narrow the positions to what the times allow, which an index can say."""
        since, until = self._wanted.since, self._wanted.until
        if since is None and until is None:
            return after, upto
        places = Position.objects.using(self._store.using).filter(position__lte=upto)
        if since is not None:
            places = places.filter(event__recorded_at__gte=since)
        if until is not None:
            places = places.filter(event__recorded_at__lt=until)
        found = places.aggregate(first=Min("position"), last=Max("position"))
        if found["first"] is None:
            return upto, upto
        return max(after, found["first"] - 1), found["last"]

    def events(self) -> Iterator[StoredEvent]:
        """Yield the events. Memory stays flat."""
        streams = sorted(self._wanted.streams)
        if not streams:
            return self._within(self._reader())
        # Each is short beside the log; together they are in the log's order again.
        parts = [self._within(self._reader().stream(stream)) for stream in streams]
        return merge(*parts, key=lambda event: event.position or 0)

    def lines(self, source: str = DEFAULT_SOURCE) -> Iterator[tuple[int, bytes]]:
        """Yield the events as lines, each with its position, and in the end the trailer.

        Args:
            source: where they come from: a URI or a path, as CloudEvents has it.

        Raises:
            UnexportableEvent: data or metadata of an event have no canonical form.
        """
        tally = Tally()
        for event in self.events():
            line = to_line(event, source)
            tally.add(line)
            yield event.position or 0, line
        yield self.upto, tally.trailer(source)

    def _reader(self) -> Reader:
        wanted = self._wanted
        reader = self._store.read().after(self.after)
        if wanted.category is not None:
            reader = reader.category(wanted.category)
        if wanted.types:
            reader = reader.of_type(*wanted.types)
        if wanted.until is not None:
            reader = reader.as_of(wanted.until - timedelta(microseconds=1))
        return reader

    def _within(self, reader: Reader) -> Iterator[StoredEvent]:
        since = self._wanted.since
        if self.after >= self.upto:
            return
        for event in reader.stored():
            if event.position is None or event.position > self.upto:
                return
            if since is None or event.recorded_at >= since:
                yield event
