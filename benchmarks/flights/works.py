"""What is measured of projections. Standard library only: it runs on the peers' interpreters, too."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.flights.base import Airport, OurAirport
from benchmarks.flights.data import YEAR
from benchmarks.work import FLIGHTS, Figures, Work, timed

BOARD = "flights.DepartureBoard"
SPLIT_BOARD = "boards.SplitBoard"
FREE_BOARD = "boards.FreeBoard"
SUMS = ("flights.PunctualityByCarrier", "flights.AirportDays", "flights.DelaysByHour")

FEW = 3_000
"""Flights for what is slow: about 9,000 events."""

EVENTS_PER_FLIGHT = 3

GROWTH = "growth in its second half"
READING, ONE_WORKER, ONE_PROJECTION = "reading", "one worker", "one projection"
ORM_ALONE = "Django's ORM alone"


def read(airport: OurAirport, size: int, tag: str) -> Figures:
    """Read the log into typed events, and do nothing with them."""
    events = airport.record(size)

    def work() -> None:
        if airport.read() != events:
            raise RuntimeError("the log is not whole")

    return timed(events, work)


def catch_up(airport: Airport, size: int, tag: str) -> Figures:
    """Bring a row for each flight up to date."""
    figures = _catch_up(airport, size, [BOARD])
    airport.check(BOARD)
    return figures


def catch_up_three(airport: Airport, size: int, tag: str) -> Figures:
    """Bring three projections up to date at once; the log's events count once."""
    return _catch_up(airport, size, SUMS)


def catch_up_one(airport: Airport, size: int, tag: str) -> Figures:
    """Bring the one of them that handles every event up to date."""
    return _catch_up(airport, size, SUMS[:1])


def _catch_up(airport: Airport, size: int, projections: Sequence[str]) -> Figures:
    events = airport.record(size)
    airport.forget(projections)
    reached, seconds = airport.catch_up(projections)
    if reached < events:
        raise RuntimeError(f"{', '.join(projections)} did not come to the end of the log")
    return {"seconds": seconds, "events": events}


def catch_up_free(airport: Airport, size: int, tag: str) -> Figures:
    """Bring it up to date by a statement for each event."""
    events = airport.record(size)
    airport.forget([FREE_BOARD])
    reached, seconds = airport.catch_up([FREE_BOARD], min(events, EVENTS_PER_FLIGHT * size))
    return {"seconds": seconds, "events": reached}


def handle_free(airport: OurAirport, size: int, tag: str) -> Figures:
    """Make the same statements with nothing around them: no reading, no batches, no checkpoint."""
    events = min(airport.record(size), EVENTS_PER_FLIGHT * size)
    airport.forget([FREE_BOARD])
    return {"seconds": airport.handle(FREE_BOARD, events), "events": events}


def rebuild(airport: OurAirport, size: int, tag: str) -> Figures:
    """Make a row for each flight anew."""
    return _rebuild(airport, size, BOARD, 1)


def rebuild_sums(airport: OurAirport, size: int, tag: str) -> Figures:
    """Make a row for each carrier anew, which every event of its flights changes."""
    events = airport.record(size)
    airport.forget(SUMS[:1])
    return timed(events, lambda: airport.rebuild(SUMS[0], 1))


def rebuild_split(airport: OurAirport, size: int, tag: str) -> Figures:
    """The same for a projection in two partitions, by one worker."""
    return _rebuild(airport, size, SPLIT_BOARD, 1)


def rebuild_by_two(airport: OurAirport, size: int, tag: str) -> Figures:
    """The same, by two workers."""
    return _rebuild(airport, size, SPLIT_BOARD, 2)


def _rebuild(airport: OurAirport, size: int, projection: str, workers: int) -> Figures:
    events = airport.record(size)
    airport.forget([projection])
    figures = timed(events, lambda: airport.rebuild(projection, workers))
    airport.check(projection)
    return figures


def visible(airport: OurAirport, size: int, tag: str) -> Figures:
    """See how long it takes until a site's rows show what has been committed."""
    airport.record(FEW)
    found = sorted(airport.latencies(size, tag))
    percent = statistics.quantiles(found, n=100, method="inclusive")
    return {
        "p50": 1000 * percent[49],
        "p99": 1000 * percent[98],
        "longest": 1000 * found[-1],
    }


def memory(airport: OurAirport, size: int, tag: str) -> Figures:
    """See how much memory a rebuild takes."""
    airport.record(size)
    airport.forget([BOARD])
    found = airport.memory(BOARD)
    return {**found, GROWTH: found["whole"] - found["half"]}


FLIGHT_WORKS = (
    Work(
        "catch-up",
        "catch up a row per flight",
        "events/s",
        catch_up,
        YEAR,
        {"eventsourcing": 30.0},
        sizes={"eventsourcing": FEW},
        domain=FLIGHTS,
        contestants=("rill", "eventsourcing"),
        most_rounds=3,
    ),
    Work(
        "free-handlers",
        "free handlers, a statement per event",
        "events/s",
        catch_up_free,
        FEW,
        {"eventsourcing": 2.0},
        beside={ORM_ALONE: handle_free},
        domain=FLIGHTS,
        contestants=("rill", "eventsourcing"),
        most_rounds=3,
    ),
    Work(
        "rebuild",
        "rebuild a row per flight",
        "events/s",
        rebuild,
        YEAR,
        {READING: 0.4},
        beside={READING: read},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=3,
    ),
    Work(
        "rebuild-sums",
        "rebuild a row per carrier",
        "events/s",
        rebuild_sums,
        YEAR,
        {READING: 0.4},
        beside={READING: read},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=3,
    ),
    Work(
        "rebuild-2",
        "rebuild a row per flight with 2 workers",
        "events/s",
        rebuild_by_two,
        YEAR,
        {ONE_WORKER: 1.6},
        beside={ONE_WORKER: rebuild_split},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=3,
    ),
    Work(
        "three",
        "catch up three projections by one worker",
        "events/s",
        catch_up_three,
        YEAR,
        {READING: 1 / 1.5},
        beside={READING: read, ONE_PROJECTION: catch_up_one},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=3,
    ),
    Work(
        "visible",
        "commit to visible row, idle site",
        "ms",
        visible,
        300,
        limits={"p50": 30.0, "p99": 100.0},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=1,
    ),
    Work(
        "memory",
        "peak memory of a rebuild",
        "MB",
        memory,
        YEAR,
        limits={"whole": 200.0, GROWTH: 10.0},
        domain=FLIGHTS,
        contestants=("rill",),
        most_rounds=1,
    ),
)
