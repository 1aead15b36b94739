"""Where our own time goes: ``python -m benchmarks.hotspots decide read``.

Prints, for each work, the slowest functions and the statements that are sent to the database.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.contestants import contestant
from benchmarks.database import postgresql, settings_of
from benchmarks.works import WORKS

FUNCTIONS = 25


def main() -> None:
    """Profile the works named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotspots", description=__doc__)
    parser.add_argument("works", nargs="*", default=["decide", "append-100", "load", "read"])
    parser.add_argument("--scale", type=float, default=1.0, help="of the usual size")
    given = parser.parse_args()
    domain, *others = {WORKS[name].domain for name in given.works}
    if others:
        parser.error("works of the bank and works of the flights need a run each")
    # Not durable: what the disk takes is not ours.
    with postgresql(durable=False) as url:
        rill = contestant(domain, "rill", settings_of(url))
        rill.install()
        for name in given.works:
            _profile(rill, name, WORKS[name].size_for("rill", given.scale))
        rill.close()


def _profile(rill: Any, name: str, size: int) -> None:
    task = WORKS[name].task
    print(f"== {name}, {size} times")
    plain = task(rill, size, f"{name}-plain")
    print(f"{plain['events'] / plain['seconds']:,.0f} {WORKS[name].unit} without the profiler")
    statements = _statements(lambda: task(rill, 2, f"{name}-statements"))
    for statement, number in statements.most_common(8):
        print(f"{number:6} × {statement[:150]}")
    profiler = cProfile.Profile(time.perf_counter)
    profiler.enable()
    task(rill, size, f"{name}-profiled")
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(FUNCTIONS)


def _statements(work: Callable[[], object]) -> Counter[str]:
    """Count the statements that a work sends, what it prepares included."""
    from django.db import connection

    seen: Counter[str] = Counter()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen[" ".join(sql.split())] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        work()
    return seen


if __name__ == "__main__":
    main()
