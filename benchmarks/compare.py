"""Lets the contestants compete: A B C, B C A, … so that a noisy minute strikes all of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.database import settings_of
from benchmarks.driver import Driver
from benchmarks.lines import US, Limited, Line
from benchmarks.work import BANK, FLIGHTS, Work
from benchmarks.works import WORKS

ON_POSTGRESQL = {
    BANK: ("rill", "rill-cached", "floor", "eventsourcing", "eventsourcing-django"),
    FLIGHTS: ("rill", "eventsourcing"),
}
ON_SQLITE = {BANK: ("rill", "rill-cached", "eventsourcing")}

Rounds = dict[str, list[dict[str, Any]]]
"""The figures of all rounds, by column."""


def compare(
    database: str,
    drivers: Mapping[str, Driver],
    works: Sequence[Work],
    *,
    rounds: int,
    scale: float,
) -> Iterator[Line | Limited]:
    """Run the works, one after the other; yield a line for each."""
    for work in works:
        columns = [*(name for name in drivers if work.has(name)), *work.beside]
        figures: Rounds = {column: [] for column in columns}
        for number in range(min(rounds, work.most_rounds or rounds)):
            turn = number % len(columns)
            for column in columns[turn:] + columns[:turn]:
                driver = drivers.get(column, drivers[US])
                size = work.size_for(column, scale)
                figures[column].append(driver.run(work, column, size, f"{work.name}-{number}"))
        yield _limited(database, work, figures) if work.limits else _line(database, work, figures)


def _line(database: str, work: Work, figures: Rounds) -> Line:
    return Line(
        database,
        work.name,
        work.title,
        work.unit,
        {column: statistics.median(map(_speed, all)) for column, all in figures.items()},
        {
            column: sum(one["lost"] for one in all)
            for column, all in figures.items()
            if "lost" in all[0]
        },
        _bars(work, database),
        work.domain,
        {column: max(one["events"] for one in all) for column, all in figures.items()},
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


def _limited(database: str, work: Work, figures: Rounds) -> Limited:
    all = figures[US]
    found = {name: statistics.median(one[name] for one in all) for name in all[0]}
    return Limited(
        database, work.name, work.title, work.unit, found, dict(work.limits), work.domain
    )


@contextmanager
def drivers_on_postgresql(
    url: str, domain: str, names: Sequence[str]
) -> Iterator[dict[str, Driver]]:
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
        databases = {name: f"rill_bench_{domain}_{name.replace('-', '_')}" for name in names}
        for database in databases.values():
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(f"CREATE DATABASE {database}")
        try:
            with ExitStack() as stack:
                yield {
                    name: stack.enter_context(Driver(domain, name, {**server, "NAME": database}))
                    for name, database in databases.items()
                }
        finally:
            for database in databases.values():
                connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@contextmanager
def drivers_on_sqlite(
    folder: str, domain: str, names: Sequence[str]
) -> Iterator[dict[str, Driver]]:
    """Contestants on SQLite, each in a file of its own."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Driver(domain, name, settings_of(f"sqlite:///{Path(folder, name)}.sqlite3"))
            )
            for name in names
        }


def by_domain(
    names: Sequence[str], contestants: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[Work], list[str]]]:
    """Yield each domain with its works of these names, none: all, and the contestants they need."""
    chosen = [WORKS[name] for name in names] if names else list(WORKS.values())
    for domain, all in contestants.items():
        works = [work for work in chosen if work.domain == domain]
        if works:
            yield domain, works, [one for one in all if any(work.has(one) for work in works)]
