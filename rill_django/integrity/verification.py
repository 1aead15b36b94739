"""The proof that the log is whole, in parts that can be done beside one another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from enum import Enum

import msgspec
from django.db import DatabaseError
from django.db.models import Min

from rill_django.domain.registry import current_registry
from rill_django.integrity.answers import check_answers
from rill_django.integrity.checkpoints import check_checkpoints
from rill_django.integrity.contents import ContentCheck
from rill_django.integrity.findings import Damage, Findings
from rill_django.integrity.places import (
    check_doubles,
    check_gap,
    check_order,
    check_places,
    check_stored_types,
    check_versions,
)
from rill_django.integrity.protection import check_protection
from rill_django.integrity.reading import (
    connection_of,
    is_trouble_of_the_database,
    is_unreadable,
    pages,
    read,
)
from rill_django.integrity.workers import can_be_shared, in_processes, one_by_one
from rill_django.store.orm import DjangoEventStore
from rill_django.store.query_log import without_query_log
from rill_django.store.tables import Position, StoredType

logger = logging.getLogger("rill_django.integrity")

RANGE = 10_000
"""Positions that are checked in one go."""

LOWEST = -(2**63)


class Whole(Enum):
    """Checks of the whole log, which the database does."""

    ORDER = "order"
    VERSIONS = "versions"
    PLACES = "places"
    DOUBLES = "doubles"
    TYPES = "stored types"
    ANSWERS = "answers"
    CHECKPOINTS = "checkpoints"
    PROTECTION = "protection"


_CHECKS: dict[Whole, Callable[[DjangoEventStore, Findings], None]] = {
    Whole.ORDER: check_order,
    Whole.VERSIONS: check_versions,
    Whole.PLACES: check_places,
    Whole.DOUBLES: check_doubles,
    Whole.TYPES: check_stored_types,
    Whole.ANSWERS: check_answers,
    Whole.CHECKPOINTS: check_checkpoints,
    Whole.PROTECTION: check_protection,
}


class Part(msgspec.Struct, frozen=True):
    """Something to check: one question about the whole log, or the events of a range of positions.

    Attributes:
        whole: the question; ``None``: a range.
        after, upto: the range: positions greater than ``after``, up to ``upto``.
        size: positions that are in it.
    """

    whole: Whole | None = None
    after: int = 0
    upto: int = 0
    size: int = 0


def parts_of(store: DjangoEventStore, size: int = RANGE) -> Iterator[Part]:
    """Yield the parts of a log: the long ones first.

    A range ends where so many positions are there, however far apart they are.
    """
    for whole in Whole:
        yield Part(whole)
    places = Position.objects.using(store.using).order_by("position")
    positions = places.values_list("position", flat=True)
    first = places.aggregate(first=Min("position"))["first"]
    after = 0 if first is None else max(min(first - 1, 0), LOWEST)
    while True:
        here = positions.filter(position__gt=after)
        ends = list(here[size - 1 : size])
        if ends:
            yield Part(after=after, upto=ends[0], size=size)
            after = ends[0]
            continue
        last = here.last()
        if last is not None:
            yield Part(after=after, upto=last, size=here.count())
        return


def check_part(using: str, part: Part) -> Findings:
    """Check one part of the log in a database. Whatever is stored there, it comes to an end."""
    store, findings = DjangoEventStore(using), Findings()
    try:
        if part.whole is None:
            _check_range(store, part, findings)
        else:
            _CHECKS[part.whole](store, findings)
    except Exception as error:
        if is_trouble_of_the_database(error, connection_of(store)):
            raise
        name = f"positions {part.after + 1:,} to {part.upto:,}"
        name = name if part.whole is None else part.whole.value
        what = f"{name}: {type(error).__name__}: {error}"
        logger.warning("verify_events cannot check %s", what, exc_info=True)
        findings.note(Damage.CHECK, part.after, what)
    return findings


def _check_range(store: DjangoEventStore, part: Part, findings: Findings) -> None:
    types = StoredType.objects.using(store.using).values_list("category", "type")
    noted = read(lambda: set(types), None, store)  # If not, the check of that table tells.
    contents = ContentCheck(current_registry(), findings, noted)
    expected = max(part.after + 1, 1)
    for page in pages(store, part.after, part.upto, findings):
        for event in page:
            position = event.position or 0
            if position > expected:
                check_gap(store, expected, position - 1, findings)
            expected = max(expected, position + 1)
        contents.check(event for event in page if not is_unreadable(event))
    if expected <= part.upto:
        check_gap(store, expected, part.upto, findings)


@without_query_log()
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
        SequencerHeld: see `DjangoEventStore.head`.
    """
    try:
        store.head()
    except DatabaseError as error:
        if is_trouble_of_the_database(error, connection_of(store)):
            raise
    parts = list(parts_of(store))
    total = sum(part.size for part in parts)
    results = (
        in_processes(check_part, store.using, parts, workers)
        if workers > 1 and can_be_shared(store.using)
        else one_by_one(check_part, store.using, parts)
    )
    findings, done = Findings(), 0
    for part, found in results:
        findings.add(found)
        done += part.size
        progress(done, total)
    return findings
