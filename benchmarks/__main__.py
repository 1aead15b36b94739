"""Run the benchmarks: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks import DATABASES_VARIABLE, chart, report
from benchmarks.compare import (
    ON_POSTGRESQL,
    ON_SQLITE,
    by_domain,
    compare,
    drivers_on_postgresql,
    drivers_on_sqlite,
)
from benchmarks.database import postgresql, settings_of
from benchmarks.lines import Limited, Line
from benchmarks.works import WORKS
from tests import servers

DEFAULT_HUGE = 10_000_000


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="work", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="their medians count")
    parser.add_argument("--scale", type=float, default=1.0, help="of the size of every work")
    parser.add_argument("--on", choices=("postgresql", "sqlite", "both"), default="both")
    parser.add_argument(
        "--huge",
        type=int,
        nargs="?",
        const=DEFAULT_HUGE,
        metavar="EVENTS",
        help=f"also append to a log of so many events (default: {DEFAULT_HUGE:,})",
    )
    parser.add_argument(
        "--write", action="store_true", help="put the result into docs/ (JSON, page and picture)"
    )
    parsed = parser.parse_args(given)
    for name in parsed.works:
        if name not in WORKS:
            parser.error(f"there is no work {name!r}; there are {', '.join(WORKS)}")
    return parsed


def main() -> int:
    """Run what was asked for, print it, and write it if asked to."""
    given = arguments()
    # So that the servers and the contestants' processes go, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    begun = time.monotonic()
    lines: list[Line | Limited] = []
    server = "no PostgreSQL"
    if given.on != "sqlite":
        with postgresql(durable=True) as url:
            server = servers.name_and_version(url)
            lines += _on_postgresql(url, given)
            if given.huge:
                lines.append(_show(_huge(url, given.huge)))
    if given.on != "postgresql":
        lines += _on_sqlite(given)
    if given.write and (given.works or given.on != "both"):
        print("Not all was measured, so docs/ is left as it is.")
    elif given.write:
        report.write(lines, report.surroundings(f"{server} (fsync on)"))
        chart.draw(lines)
    short = [line for line in lines for name in line.bars if not line.is_reached(name)]
    print(f"{len(short)} bars not reached; {time.monotonic() - begun:.0f} s")
    return 0


def _on_postgresql(url: str, given: Any) -> list[Line | Limited]:
    lines: list[Line | Limited] = []
    for domain, works, names in by_domain(given.works, ON_POSTGRESQL):
        with drivers_on_postgresql(url, domain, names) as drivers:
            some = compare("PostgreSQL", drivers, works, rounds=given.rounds, scale=given.scale)
            lines += [_show(line) for line in some]
    return lines


def _on_sqlite(given: Any) -> list[Line | Limited]:
    lines: list[Line | Limited] = []
    for domain, works, names in by_domain(given.works, ON_SQLITE):
        with (
            tempfile.TemporaryDirectory(prefix="rill-bench-") as folder,
            drivers_on_sqlite(folder, domain, names) as drivers,
        ):
            some = compare("SQLite", drivers, works, rounds=given.rounds, scale=given.scale)
            lines += [_show(line) for line in some]
    return lines


def _huge(url: str, size: int) -> Line:
    server = settings_of(url)
    names = {"default": "rill_bench_small", "huge": "rill_bench_huge"}
    with psycopg.connect(
        dbname=server["NAME"], host=server["HOST"], user=server["USER"], autocommit=True
    ) as connection:
        for name in names.values():
            connection.execute(f"CREATE DATABASE {name}")
    databases = {alias: {**server, "NAME": name} for alias, name in names.items()}
    os.environ[DATABASES_VARIABLE] = json.dumps(databases)
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    import django
    from django.db import connections

    django.setup()
    from benchmarks.huge import compare_sizes

    try:
        return compare_sizes(size)
    finally:
        connections.close_all()


def _show(line: Line | Limited) -> Line | Limited:
    print(report.as_table([line]), flush=True)
    return line


if __name__ == "__main__":
    sys.exit(main())
