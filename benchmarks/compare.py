"""Lets the contestants compete: A B C, B C A, … so that a noisy minute strikes all of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.database import settings_of
from benchmarks.driver import Driver
from benchmarks.works import WORKS, Work

ON_POSTGRESQL = ("rill", "rill-cached", "floor", "eventsourcing", "eventsourcing-django")
ON_SQLITE = ("rill", "rill-cached", "eventsourcing")
US = "rill"


@dataclass
class Line:
    """One work on one database: speeds by contestant, and what became of the bars."""

    database: str
    work: str
    title: str
    unit: str
    speeds: dict[str, float]
    lost: dict[str, int] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)

    def ratio(self, contestant: str, of: str = US) -> float:
        """Return how many times as fast we are."""
        return self.speeds[of] / self.speeds[contestant]

    def is_reached(self, contestant: str) -> bool:
        """Whether the bar to a contestant is."""
        return self.ratio(contestant) >= self.bars[contestant]

    def as_dict(self) -> dict[str, Any]:
        """Return it with the ratios, for JSON."""
        ratios = {one: round(self.ratio(one), 3) for one in self.speeds if one != US}
        return {**asdict(self), "ratios": ratios}


def compare(
    database: str,
    drivers: Mapping[str, Driver],
    works: Sequence[Work],
    *,
    rounds: int,
    scale: float,
) -> Iterator[Line]:
    """Run the works, one after the other; yield a line for each."""
    for work in works:
        names = [name for name in drivers if work.cached or name != "rill-cached"]
        figures: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                size = work.size_for(name, scale)
                tag = f"{work.name}-{number}"
                figures[name].append(drivers[name].run(work.name, size, tag))
        yield Line(
            database,
            work.name,
            work.title,
            work.unit,
            {name: statistics.median(map(_speed, all)) for name, all in figures.items()},
            {
                name: sum(one["lost"] for one in all)
                for name, all in figures.items()
                if "lost" in all[0]
            },
            _bars(work, database),
        )


def _speed(figures: Mapping[str, Any]) -> float:
    speed: float = figures["events"] / figures["seconds"]
    return speed


def _bars(work: Work, database: str) -> dict[str, float]:
    if database == "SQLite":
        return (
            {} if work.sqlite_bar is None or not work.bars else {"eventsourcing": work.sqlite_bar}
        )
    return dict(work.bars)


@contextmanager
def drivers_on_postgresql(url: str, names: Sequence[str]) -> Iterator[dict[str, Driver]]:
    """Contestants on one server, each in a new database of its own."""
    server = settings_of(url)
    with psycopg.connect(
        dbname=server["NAME"],
        host=server["HOST"] or None,
        port=server["PORT"] or None,
        user=server["USER"] or None,
        password=server["PASSWORD"] or None,
        autocommit=True,
    ) as connection:
        databases = {name: f"rill_bench_{name.replace('-', '_')}" for name in names}
        for database in databases.values():
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(f"CREATE DATABASE {database}")
        try:
            with ExitStack() as stack:
                yield {
                    name: stack.enter_context(Driver(name, {**server, "NAME": database}))
                    for name, database in databases.items()
                }
        finally:
            for database in databases.values():
                connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@contextmanager
def drivers_on_sqlite(folder: str, names: Sequence[str]) -> Iterator[dict[str, Driver]]:
    """Contestants on SQLite, each in a file of its own."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Driver(name, settings_of(f"sqlite:///{Path(folder, name)}.sqlite3"))
            )
            for name in names
        }


def chosen(names: Sequence[str]) -> list[Work]:
    """Return the works of these names; none: all."""
    return [WORKS[name] for name in names] if names else list(WORKS.values())
