"""What is measured of the bank, and all works by name.

Standard library only: it runs on the peers' interpreters, too.
"""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.base import Contestant
from benchmarks.crowd import crowd
from benchmarks.flights.works import FLIGHT_WORKS
from benchmarks.work import Figures, Work, timed

PROCESSES = 8
SHORT_STREAM = 5
LONG_STREAM = 1_000
BATCH = 100


def decide(contestant: Contestant, size: int, tag: str) -> Figures:
    """Load 5 events, decide, append 1: every command on another account."""
    numbers = [f"{tag}-{index}" for index in range(size)]
    contestant.fill(numbers, SHORT_STREAM)
    for number in numbers:
        contestant.meet(number)
    return timed(size, lambda: [contestant.deposit(number) for number in numbers])


def decide_in_crowd(contestant: Contestant, size: int, tag: str) -> Figures:
    """The same, in 8 processes on different accounts."""

    def prepare(contestant: Contestant, process: int) -> list[str]:
        numbers = [f"{tag}-{process}-{index}" for index in range(size)]
        contestant.fill(numbers, SHORT_STREAM)
        for number in numbers:
            contestant.meet(number)
        return numbers

    def work(contestant: Contestant, numbers: list[str]) -> int:
        for number in numbers:
            contestant.deposit(number)
        return len(numbers)

    return crowd(contestant, prepare, work, PROCESSES)


def append_in_crowd(contestant: Contestant, size: int, tag: str) -> Figures:
    """Append 1 event per commit, in 8 processes on different accounts."""

    def prepare(contestant: Contestant, process: int) -> Any:
        return contestant.begin(f"{tag}-{process}")

    def work(contestant: Contestant, account: Any) -> int:
        for _ in range(size):
            account = contestant.continue_with(account)
        return size

    return crowd(contestant, prepare, work, PROCESSES)


def append_many(contestant: Contestant, size: int, tag: str) -> Figures:
    """Append 100 events per commit; making them is not counted."""
    accounts = [contestant.pending(f"{tag}-{index}", BATCH) for index in range(size)]
    return timed(size * BATCH, lambda: [contestant.commit(account) for account in accounts])


def decide_many(contestant: Contestant, size: int, tag: str) -> Figures:
    """Make 100 events and append them in one commit."""

    def work() -> None:
        for index in range(size):
            contestant.commit(contestant.pending(f"{tag}-{index}", BATCH))

    return timed(size * BATCH, work)


def load(contestant: Contestant, size: int, tag: str) -> Figures:
    """Load an aggregate of 1,000 events."""
    contestant.fill([tag], LONG_STREAM)
    contestant.load(tag)

    def work() -> None:
        for _ in range(size):
            if contestant.load(tag) != LONG_STREAM:
                raise RuntimeError(f"{tag} is not whole")

    return timed(size, work)


def read(contestant: Contestant, size: int, tag: str) -> Figures:
    """Read the log from its beginning into typed events."""
    missing = size - contestant.read(size)
    if missing > 0:
        contestant.fill([f"{tag}-{index}" for index in range(-(-missing // BATCH))], BATCH)
        contestant.read(size)

    def work() -> None:
        if contestant.read(size) != size:
            raise RuntimeError("the log is not whole")

    return timed(size, work)


WORKS = {
    work.name: work
    for work in (
        Work(
            "decide",
            "load 5 events, decide, append 1",
            "commands/s",
            decide,
            300,
            {"eventsourcing": 2.0, "floor": 0.6},
            cached=True,
        ),
        Work(
            "decide-8",
            "the same, 8 processes",
            "commands/s",
            decide_in_crowd,
            60,
            {"eventsourcing": 3.0},
            slow=(),
            cached=True,
        ),
        Work(
            "append-8",
            "append 1 per commit, 8 processes",
            "events/s",
            append_in_crowd,
            80,
            {"eventsourcing": 3.0},
            slow=(),
        ),
        Work(
            "append-100",
            "append 100 per commit",
            "events/s",
            append_many,
            50,
            {"eventsourcing": 1.5, "floor": 0.7},
        ),
        Work("make-100", "make 100 events, append them", "events/s", decide_many, 50),
        Work(
            "load",
            "load an aggregate of 1,000 events",
            "loads/s",
            load,
            20,
            {"eventsourcing": 2.0},
        ),
        Work(
            "read",
            "read and decode 100,000 events",
            "events/s",
            read,
            100_000,
            {"eventsourcing": 1.5, "floor": 0.5},
        ),
        *FLIGHT_WORKS,
    )
}
