"""Pages that are bounded in bytes: whatever the payloads, so much is in memory at once and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add, itemgetter
from typing import Any

from rill_django.domain.records import StoredEvent

PAGE_BYTES = 4_000_000
"""Most bytes of payloads and metadata in a page, but for its last event. Decoded, they take far more."""

MOST_AT_ONCE = 32
"""Rows that are read at once from a database that reads them as they are asked for: each may be long."""

FEW = 4
"""Long texts that are asked for at first, when nothing is known of how long they are."""

LONGEST_SPREAD = 16
"""Of long texts no more are asked for at once than fit into the page if each is a sixteenth of it."""

Read = tuple[Any, ...]
"""Stream, version, position, type, payload, metadata, time; as a database gives them."""

PLACE_IN_ROW = {False: 2, True: 1}
"""Where a `Read` has what it is found by: in a stream its version, else its position."""

_DATA, _METADATA = 4, 5
_DATA_OF, _METADATA_OF = itemgetter(_DATA), itemgetter(_METADATA)


def bytes_of(events: Iterable[StoredEvent]) -> int:
    """Return how many bytes payloads and metadata have."""
    return sum([len(one.data) + len(one.metadata) for one in events])


def up_to_bytes(rows: Sequence[Read], max_bytes: int) -> Sequence[Read]:
    """Return rows up to the one with which so many bytes are reached."""
    lengths = _lengths(rows)
    return rows if sum(lengths) < max_bytes else rows[: _reach(lengths, max_bytes)]


def read_up_to_bytes(fetch: Callable[[int], Sequence[Read]], max_bytes: int) -> list[Read]:
    """Read rows up to the one with which so many bytes are reached, and few behind it.

    Args:
        fetch: reads so many of the next rows.
    """
    found: list[Read] = []
    left, number, longest = max_bytes, FEW, 1
    while rows := fetch(number):
        lengths = _lengths(rows)
        read = sum(lengths)
        if read >= left:
            found += rows[: _reach(lengths, left)]
            break
        found += rows
        left -= read
        longest = max(longest, max(lengths))
        number = max(1, min(left // longest, MOST_AT_ONCE))
    return found


def _reach(lengths: Iterable[int], max_bytes: int) -> int:
    """Return how many of the first ones have so many bytes."""
    return next(number for number, read in enumerate(accumulate(lengths), 1) if read >= max_bytes)


def _lengths(rows: Sequence[Read]) -> list[int]:
    return list(map(add, map(len, map(_DATA_OF, rows)), map(len, map(_METADATA_OF, rows))))


def with_long_texts(
    rows: Sequence[Read],
    texts_of: Callable[[Sequence[Read]], Sequence[tuple[str, str]]],
    max_bytes: int,
) -> Iterable[Read]:
    """Return rows up to the one with which so many bytes are reached, long texts put in.

    Args:
        rows: with ``None`` for a payload or metadata that are long.
        texts_of: reads payloads and metadata of some rows.
        max_bytes: see `EventStore.fetch`.
    """
    if None not in map(_DATA_OF, rows) and None not in map(_METADATA_OF, rows):
        return up_to_bytes(rows, max_bytes)
    return _until_bytes(_filled(rows, texts_of, max_bytes), max_bytes)


def _until_bytes(rows: Iterable[Read], max_bytes: int) -> Iterator[Read]:
    read = 0
    for row in rows:
        yield row
        read += len(row[_DATA]) + len(row[_METADATA])
        if read >= max_bytes:
            return


def _filled(
    rows: Sequence[Read],
    texts_of: Callable[[Sequence[Read]], Sequence[tuple[str, str]]],
    max_bytes: int,
) -> Iterator[Read]:
    long = [row for row in rows if row[_DATA] is None or row[_METADATA] is None]
    texts: list[tuple[str, str]] = []
    taken = longest = 0
    for row in rows:
        if row[_DATA] is not None and row[_METADATA] is not None:
            yield row
            continue
        if not texts:
            number = min(max_bytes // longest, LONGEST_SPREAD) if longest else FEW
            texts = list(texts_of(long[taken : taken + max(number, 1)]))
            taken += len(texts)
            longest = max(longest, *(len(data) + len(metadata) for data, metadata in texts))
            texts.reverse()
        yield (*row[:_DATA], *texts.pop(), *row[_METADATA + 1 :])
