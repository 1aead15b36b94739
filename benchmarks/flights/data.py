"""The flights that are recorded. Standard library only: it runs on the peers' interpreters, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count, islice

from example_project.flights.dataset import MissingData, Period, year_file
from example_project.flights.reports import Report

YEAR = Period.YEAR.flights
JANUARY = timedelta(days=31)


def source() -> str:
    """Say where the flights come from."""
    if _has_year():
        return "the flights from New York of 2013"
    return "the flights from New York of January 2013, repeated with later dates"


def reports(begin: int, end: int) -> Iterator[Report]:
    """Yield flights by their place in the data."""
    return islice(Period.YEAR.reports() if _has_year() else _januaries(), begin, end)


def _has_year() -> bool:
    try:
        year_file()
    except MissingData:
        return False
    return True


def _januaries() -> Iterator[Report]:
    for number in count():
        later = number * JANUARY
        for report in Period.MONTH.reports():
            yield replace(
                report,
                date=report.date + later,
                scheduled_at=report.scheduled_at + later,
                departed_at=report.departed_at and report.departed_at + later,
            )
