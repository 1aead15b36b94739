"""The proof that the log is whole, in parts that can be done beside one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from enum import Enum

import msgspec

from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.integrity.contents import ContentCheck
from rill_django.integrity.findings import Damage, Findings
from rill_django.integrity.places import check_gap, check_order, check_places, check_versions
from rill_django.integrity.workers import can_be_shared, in_processes, one_by_one
from rill_django.store.orm import DjangoEventStore
from rill_django.store.reader import PAGE_SIZE
from rill_django.store.selection import Selection
from rill_django.store.tables import Position, StoredType

RANGE = 10_000
"""Positions that are checked in one go."""


class Whole(Enum):
    """Checks of the whole log, which the database does."""

    ORDER = "order"
    VERSIONS = "versions"
    PLACES = "places"


class Part(msgspec.Struct, frozen=True):
    """Something to check: one question about the whole log, or the events of a range of positions.

    Attributes:
        whole: the question; ``None``: a range.
        after, upto: the range: positions greater than ``after``, up to ``upto``.
    """

    whole: Whole | None = None
    after: int = 0
    upto: int = 0

    @property
    def size(self) -> int:
        """Positions in it."""
        return self.upto - self.after


def parts_of(head: int, size: int = RANGE) -> Iterator[Part]:
    """Yield the parts of a log that has so many positions: the long ones first."""
    for whole in Whole:
        yield Part(whole)
    for after in range(0, head, size):
        yield Part(after=after, upto=min(after + size, head))


def check_part(using: str, part: Part) -> Findings:
    """Check one part of the log in a database."""
    store, findings = DjangoEventStore(using), Findings()
    if part.whole is Whole.PLACES:
        check_places(store, findings)
    elif part.whole is Whole.VERSIONS:
        check_versions(store, findings)
    elif part.whole is Whole.ORDER:
        check_order(store, findings)
    else:
        _check_range(store, part, findings)
    return findings


def _check_range(store: DjangoEventStore, part: Part, findings: Findings) -> None:
    noted = set(StoredType.objects.using(store.using).values_list("category", "type"))
    contents = ContentCheck(current_registry(), findings, noted)
    expected = part.after + 1
    for page in _pages(store, part, findings):
        for event in page:
            position = event.position or 0
            if position > expected:
                check_gap(store, expected, position - 1, findings)
            expected = position + 1
        contents.check(event for event in page if event.version >= 0)
    if expected <= part.upto:
        check_gap(store, expected, part.upto, findings)


def _pages(
    store: DjangoEventStore, part: Part, findings: Findings
) -> Iterator[Sequence[StoredEvent]]:
    after = part.after
    while after < part.upto:
        size = min(PAGE_SIZE, part.upto - after)
        try:
            page = store.fetch(Selection(after=after, limit=size))
        except _UNREADABLE_ROW:
            page = _row_by_row(store, after, size, findings)
        yield [event for event in page if (event.position or 0) <= part.upto]
        if len(page) < size:
            return
        after = page[-1].position or 0


# SQLite takes anything into any column, and not everything is a time or a text then.
_UNREADABLE_ROW = (ValueError, TypeError, AttributeError)
_NO_TIME = datetime.min.replace(tzinfo=timezone.utc)


def _row_by_row(
    store: DjangoEventStore, after: int, size: int, findings: Findings
) -> Sequence[StoredEvent]:
    """Return a page in which events of version -1 stand for rows that cannot be read at all."""
    page: list[StoredEvent] = []
    places = Position.objects.using(store.using).filter(position__gt=after).order_by("position")
    for position in places.values_list("position", flat=True)[:size]:
        try:
            page += store.fetch(Selection(after=position - 1, limit=1))
        except _UNREADABLE_ROW as error:
            findings.note(Damage.UNREADABLE, position, f"position {position:,}: {error}")
            page.append(StoredEvent("", -1, position, "", b"{}", b"{}", _NO_TIME))
    return page


def verify(
    store: DjangoEventStore,
    *,
    workers: int = 1,
    progress: Callable[[int, int], object] = lambda done, head: None,
) -> Findings:
    """Read the whole log and return what is wrong with it. Others may write meanwhile.

    Args:
        store: the log.
        workers: processes that check at the same time, each with a connection of its own.
        progress: called with the positions checked so far and the number of all.

    Raises:
        ImproperlyConfigured, BrokenProcessPool: see `in_processes`.
    """
    head = store.head()
    parts = parts_of(head)
    results = (
        in_processes(check_part, store.using, parts, workers)
        if workers > 1 and can_be_shared(store.using)
        else one_by_one(check_part, store.using, parts)
    )
    findings, done = Findings(), 0
    for part, found in results:
        findings.add(found)
        done += part.size
        progress(done, head)
    return findings
