"""Appending to a log of millions, beside appending to a small one, by turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.lines import US, Line

SMALL = 10_000
STREAM_LENGTH = 100
CHUNK = 500_000
APPENDS = 200
ROUNDS = 7
BAR = 1 / 1.2
"""The time may grow by a fifth, so the speed may fall to that."""

_FILL = """
WITH new AS (
    INSERT INTO rill_django_event (stream, version, type, data, metadata, recorded_at)
    SELECT 'bench.Account/' || lpad((n / %(length)s)::text, 9, '0'), n %% %(length)s,
           'bench.Account.deposited',
           jsonb_build_object('number', (n / %(length)s)::text, 'amount', '10'),
           '{"command": "bench.Account.deposit"}', statement_timestamp()
    FROM generate_series(%(first)s, %(last)s - 1) AS n ORDER BY n RETURNING id
)
INSERT INTO rill_django_position (position, event_id)
SELECT %(first)s + row_number() OVER (ORDER BY id), id FROM new
"""


def compare_sizes(size: int) -> Line:
    """Fill the databases ``default`` and ``huge``, and compare the time of an append to each.

    Args:
        size: events in the larger one.
    """
    from django.core.management import call_command

    for alias, events in (("default", SMALL), ("huge", size)):
        call_command("migrate", database=alias, verbosity=0)
        _fill(alias, events)
    streams = {alias: _Streams(alias, size) for alias, size in (("default", SMALL), ("huge", size))}
    times: dict[str, list[float]] = {alias: [] for alias in streams}
    for _ in range(ROUNDS):
        for alias, some in streams.items():
            times[alias] += some.append(APPENDS)
    median = {alias: statistics.median(all) for alias, all in times.items()}
    return Line(
        "PostgreSQL",
        "huge",
        f"append 1 with {size:,} events in the table",
        "events/s",
        {US: 1 / median["huge"], "small log": 1 / median["default"]},
        bars={"small log": BAR},
    )


def _fill(alias: str, events: int) -> None:
    from django.db import connections

    begun = time.monotonic()
    with connections[alias].cursor() as cursor:
        for first in range(0, events, CHUNK):
            last = min(first + CHUNK, events)
            cursor.execute(_FILL, {"first": first, "last": last, "length": STREAM_LENGTH})
            print(f"{last:,} events after {time.monotonic() - begun:.0f} s", flush=True)
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


class _Streams:
    """Streams all over the log, to append to one after the other."""

    def __init__(self, alias: str, size: int) -> None:
        from rill_django.store.orm import DjangoEventStore

        self._store = DjangoEventStore(alias)
        self._streams = self._scattered(size // STREAM_LENGTH)
        self._versions: dict[str, int] = {}

    @staticmethod
    def _scattered(streams: int) -> Iterator[str]:
        number = 0
        while True:
            # A large step that shares no factor with most sizes: neighbours are far apart.
            number = (number + 7_919_303) % streams
            yield f"bench.Account/{number:09d}"

    def append(self, number: int) -> list[float]:
        """Append so many times, and return what each took in seconds."""
        from rill_django.domain.records import NewEvent

        data: Any = NewEvent("bench.Account.deposited", b'{"number":"1","amount":"10"}')
        times = []
        for stream in (next(self._streams) for _ in range(number)):
            version = self._versions.get(stream, STREAM_LENGTH - 1)
            begin = time.perf_counter()
            self._store.append(stream, version, [data])
            times.append(time.perf_counter() - begin)
            self._versions[stream] = version + 1
        return times
