"""Finds events by what the names of their streams are or begin with: by index, and bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import connections
from django.db.models import Max

from rill_django.store.guards import EVENTS
from rill_django.store.tables import Event

MOST_FOUND = 1_000
"""Events that a search gives, and as many again of the latest if there are more."""

LATEST = 10_000
"""Of so many events at the end of the log, all that match are found in any case."""

_BEHIND = "\U0010ffff"
"""Comes behind all that names of streams are made of."""


class Found(NamedTuple):
    """What was found.

    Attributes:
        ids: keys of events.
        is_all: whether there are no others.
    """

    ids: list[int]
    is_all: bool


def find_events(beginnings: Sequence[str], *, using: str) -> Found:
    """Find events of the streams that are named, or begin, like one of these.

    Of streams that are named so the latest events come first, then the streams that begin so, by name. Each
    beginning is a statement of its own inside one, which stops as soon as it has enough: left to a database,
    a condition on all of them is a scan of the whole log.

    Args:
        beginnings: names of streams, or what these begin with.
        using: alias of the database that holds the log.
    """
    if not beginnings:
        return Found([], True)
    enough = MOST_FOUND + 1
    half = MOST_FOUND // 2  # So that streams that only begin so have room, too.
    arms: list[tuple[str, tuple[str, ...], str]] = [
        ("stream = %s", (one,), f"version DESC LIMIT {half + 1}")
        for one in _streams_named(beginnings, using)
    ]
    exact = len(arms)
    arms += [
        ("stream > %s AND stream < %s", (one, one + _BEHIND), f"stream, version LIMIT {enough}")
        for one in beginnings
    ]
    sql = " UNION ALL ".join(
        f"SELECT {number} AS arm, id FROM (SELECT id FROM {EVENTS} WHERE {condition} "
        f"ORDER BY {order}) AS arm_{number}"
        for number, (condition, _values, order) in enumerate(arms)
    )
    values = [one for arm in arms for one in arm[1]]
    rows = _rows(f"{sql} LIMIT {enough}", values, using)
    ids = list(dict.fromkeys(id for _arm, id in rows))
    found_by = Counter(arm for arm, _id in rows)
    if len(rows) < enough and all(found_by[one] <= half for one in range(exact)):
        return Found(ids, True)
    latest = _latest([arms[one] for one in sorted(found_by)], using)
    return Found(list(dict.fromkeys([*latest, *ids])), False)


def _streams_named(names: Sequence[str], using: str) -> list[str]:
    """Return those of the names that streams have, in the same order."""
    events = Event.objects.using(using).filter(stream__in=names, version=0)
    there = set(events.values_list("stream", flat=True))
    return [one for one in names if one in there]


def _latest(arms: Iterable[tuple[str, tuple[str, ...], str]], using: str) -> list[int]:
    """Return the latest events that match, of those at the end of the log."""
    last = Event.objects.using(using).aggregate(last=Max("id"))["last"]
    chosen = list(arms)
    conditions = " OR ".join(f"({condition})" for condition, _values, _order in chosen)
    rows = _rows(
        f"SELECT 0, id FROM (SELECT id, stream FROM {EVENTS} WHERE id > %s ORDER BY id DESC "
        f"LIMIT {LATEST}) AS latest WHERE {conditions} ORDER BY id DESC LIMIT {MOST_FOUND}",
        [last - LATEST, *(one for arm in chosen for one in arm[1])],
        using,
    )
    return [id for _arm, id in rows]


def _rows(sql: str, parameters: Sequence[object], using: str) -> list[tuple[int, int]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[int, int]] = cursor.fetchall()
    return found
