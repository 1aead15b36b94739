"""From a commit to the row that shows it, on a site where nothing else happens."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

PAUSE_SECONDS = (0.05, 0.25)
LOOK_EVERY_SECONDS = 0.0005
TIMEOUT = 10.0
WARM_UP = 10

_LOOK = """
SELECT 1 FROM flights_departure
WHERE carrier = %s AND number = %s AND date = %s AND origin = %s
"""


def latencies(samples: int, tag: str) -> list[float]:
    """Let a worker process idle, commit a command now and then; return seconds until its row is there.

    The worker is ``manage.py run_projections`` with the example project's projections and default
    settings. The clock runs from the commit's return until another connection sees the row.
    """
    from django.db import connection

    from example_project.flights.domain import Flight
    from example_project.flights.reports import NEW_YORK
    from rill_django.projections.worker import catch_up

    names = _projections()
    catch_up(*names)
    found = []
    begin = datetime(2014, 1, 1, tzinfo=NEW_YORK)
    # A copy has a connection of its own.
    reader = connection.copy()
    with _worker(names), reader.cursor() as cursor:
        for number in range(1, samples + WARM_UP + 1):
            time.sleep(random.uniform(*PAUSE_SECONDS))
            day = begin + timedelta(days=number)
            key = ("ZZ", _number(tag), day.date(), "JFK")
            Flight.schedule.transact(*key, destination="BOS", departure_at=day).unwrap()
            committed = time.perf_counter()
            _wait_for_row(cursor, key)
            if number > WARM_UP:
                found.append(time.perf_counter() - committed)
    reader.close()
    return found


def _number(tag: str) -> int:
    """Return a flight's number that no other round has."""
    return 9_000 + int(tag.rpartition("-")[2])


def _projections() -> list[str]:
    from rill_django.projections.registry import current_projections

    return [one.name for one in current_projections().named() if one.name.startswith("flights.")]


def _wait_for_row(cursor: Any, key: tuple[Any, ...]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        cursor.execute(_LOOK, key)
        if cursor.fetchone():
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{key} was not visible within {TIMEOUT} s")
        time.sleep(LOOK_EVERY_SECONDS)


@contextmanager
def _worker(names: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "run_projections", *names],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        if "Running" not in process.stdout.readline():
            raise RuntimeError("the projection worker did not start")
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)
