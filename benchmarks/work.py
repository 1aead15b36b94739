"""What a work is. Standard library only: it runs on the peers' interpreters, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BANK, FLIGHTS = "bank", "flights"

Figures = dict[str, Any]
"""``seconds``, ``events`` (or commands, or loads) done in them, and maybe ``lost``; or, for a work with
limits, what is limited."""

Task = Callable[[Any, int, str], Figures]
"""Does the work so many times; the text makes names that no other round has."""


@dataclass(frozen=True)
class Work:
    """One line of a table.

    Attributes:
        name: for the command line.
        title: for people.
        unit: what is counted per second; with limits: what they are in.
        size: how often it is done in a round.
        bars: least ratio of our speed to that of a contestant.
        limits: instead of bars, the most that each figure may be.
        domain: what the contestants are about: `BANK` or `FLIGHTS`.
        contestants: who takes part; none named: all of the domain.
        beside: what we ourselves do otherwise, by the name of its column, to be compared with.
        sqlite_bar: least ratio to ``eventsourcing`` on SQLite; ``None``: there is no bar.
        slow: contestants of whom a tenth of the size is asked.
        sizes: size for single contestants or columns, where it is another.
        cached: whether a cache of aggregates makes a difference.
        most_rounds: fewer rounds than asked for, for what takes long.
    """

    name: str
    title: str
    unit: str
    task: Task
    size: int
    bars: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    domain: str = BANK
    contestants: tuple[str, ...] = ()
    beside: Mapping[str, Task] = field(default_factory=dict)
    sqlite_bar: float | None = 1.0
    slow: tuple[str, ...] = ("eventsourcing-django",)
    sizes: Mapping[str, int] = field(default_factory=dict)
    cached: bool = False
    most_rounds: int | None = None

    def size_for(self, column: str, scale: float) -> int:
        """Return how often it is done in a round, for a contestant or what is beside."""
        share = 0.1 if column in self.slow else 1.0
        return max(2, round(self.sizes.get(column, self.size) * share * scale))

    def task_for(self, column: str) -> Task:
        """Return what a contestant does, or what we do beside."""
        return self.beside.get(column, self.task)

    def has(self, contestant: str) -> bool:
        """Whether a contestant takes part."""
        if contestant == "rill-cached" and not self.cached:
            return False
        return not self.contestants or contestant in self.contestants


def timed(count: int, work: Callable[[], object]) -> Figures:
    """Do a work; return how long it took, for so many."""
    begin = time.monotonic()
    work()
    return {"seconds": time.monotonic() - begin, "events": count}
