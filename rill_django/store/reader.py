"""A queryset-like reader over the log. Source of the idea: Rails Event Store's reading specification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from sys import maxsize
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.codec import decode_events
from rill_django.domain.definitions import EventType
from rill_django.domain.records import RecordedEvent, StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.store.pages import PAGE_BYTES, bytes_of
from rill_django.store.selection import Selection
from rill_django.store.subscription import Subscription

if TYPE_CHECKING:
    from rill_django.store.protocol import EventStore

PAGE_SIZE = 1_000
"""Events fetched at once; larger pages were measured to be slower."""

A = TypeVar("A", bound=Aggregate)


class Reader:
    """Immutable; every method returns a narrower reader. Iterating it yields `RecordedEvent`.

    Pages are fetched by key as the iteration goes, so memory stays flat::

        for event in store.read().category("bank.Account").after(1000): ...
    """

    def __init__(self, store: EventStore, selection: Selection | None = None) -> None:
        self.store = store
        self.selection = selection or Selection()

    page_size = PAGE_SIZE

    def _with(self, **changes: Any) -> Reader:
        return Reader(self.store, msgspec.structs.replace(self.selection, **changes))

    def stream(self, stream: str | Aggregate) -> Reader:
        """Only this stream, by its name or its aggregate, in the order of versions."""
        return self._with(stream=stream.stream if isinstance(stream, Aggregate) else stream)

    def category(self, category: str | type[Aggregate]) -> Reader:
        """Only streams of this aggregate type."""
        return self._with(category=category if isinstance(category, str) else category.type_name)

    def of_type(self, *types: str | EventType[Any, ...]) -> Reader:
        """Only events of these types, by the names they are stored under."""
        names = (one if isinstance(one, str) else one.name for one in types)
        return self._with(types=self.selection.types.union(names))

    def after(self, position: int) -> Reader:
        """Only events beyond this position: greater, or smaller if read backwards."""
        return self._with(after=position)

    def up_to(self, position: int) -> Reader:
        """Only events up to this position: smaller or equal, or greater if read backwards."""
        return self._with(up_to=position)

    def from_version(self, version: int) -> Reader:
        """Only versions from this one on, or down if read backwards."""
        return self._with(from_version=version)

    def as_of(self, time: datetime) -> Reader:
        """Only events recorded at this time or before.

        Raises:
            ValueError: the time has no time zone.
        """
        if time.tzinfo is None:
            raise ValueError(f"as_of needs a time with a time zone, got {time!r}")
        return self._with(as_of=time)

    def share(self, number: int, of: int) -> Reader:
        """Only the streams of one share, for several readers that divide the log among them.

        Args:
            number: of the share, from 0.
            of: how many there are; together they are all streams, and no stream is in two.

        Raises:
            ValueError: there is no such share.
        """
        if not 0 <= number < of:
            raise ValueError(
                f"share takes a number from 0 to {of - 1} of {of} shares, got {number}"
            )
        return self._with(share=(number, of))

    def backwards(self) -> Reader:
        """The latest first."""
        return self._with(backwards=True)

    def limit(self, number: int) -> Reader:
        """At most so many.

        Raises:
            ValueError: negative.
        """
        if number < 0:
            raise ValueError(f"limit must not be negative, got {number}")
        return self._with(limit=number)

    def max_bytes(self, number: int) -> Reader:
        """No more behind the event with which payloads and metadata reach so many bytes.

        Pages are bounded in bytes in any case; this is for what is kept of several.

        Raises:
            ValueError: not above 0.
        """
        if number <= 0:
            raise ValueError(f"max_bytes must be above 0, got {number}")
        return self._with(max_bytes=number)

    def is_end(self, read: Sequence[StoredEvent]) -> bool:
        """Whether, when this was read of it, nothing was left, neither by the limit nor by bytes."""
        limit, max_bytes = self.selection.limit, self.selection.max_bytes
        is_cut = limit is not None and len(read) >= limit
        return not is_cut and (max_bytes is None or bytes_of(read) < max_bytes)

    def stored(self) -> Iterator[StoredEvent]:
        """Yield the events as they are stored, not decoded."""
        wanted = self.selection
        left = maxsize if wanted.limit is None else wanted.limit
        left_bytes = maxsize if wanted.max_bytes is None else wanted.max_bytes
        while left > 0 and left_bytes > 0:
            size, size_in_bytes = min(left, PAGE_SIZE), min(left_bytes, PAGE_BYTES)
            page = self.store.fetch(
                msgspec.structs.replace(wanted, limit=size, max_bytes=size_in_bytes)
            )
            yield from page
            # A full page is followed by another one anyhow: its bytes count only if there is an end to them.
            if wanted.max_bytes is not None or len(page) < size:
                in_bytes = bytes_of(page)
                if len(page) < size and in_bytes < size_in_bytes:
                    return
                left_bytes -= in_bytes if wanted.max_bytes is not None else 0
            left -= len(page)
            wanted = _beyond(wanted, page[-1])

    def __iter__(self) -> Iterator[RecordedEvent]:
        return decode_events(self.stored(), current_registry())

    def subscribe(self, *, poll_interval: float = 0.05) -> Subscription:
        """Go on for ever: these events, and those that come. See `Subscription`.

        Raises:
            ValueError: the reader is of one stream, or backwards.
        """
        return Subscription(self, poll_interval=poll_interval)

    def first(self) -> RecordedEvent | None:
        """Return the first event, or ``None``."""
        return next(iter(self), None)

    def __repr__(self) -> str:
        return f"Reader({self.selection!r})"


def _beyond(selection: Selection, last: StoredEvent) -> Selection:
    """Return the selection that goes on behind ``last``."""
    if selection.stream is None:
        return msgspec.structs.replace(selection, after=last.position)
    following = last.version - 1 if selection.backwards else last.version + 1
    return msgspec.structs.replace(selection, from_version=following)
