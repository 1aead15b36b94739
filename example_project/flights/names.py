"""What the codes of carriers and airports stand for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache

from example_project.flights.dataset import DATA


def carrier_name(code: str) -> str:
    """Return the name of a carrier by its IATA code, or the code if it is not known."""
    return _names("airlines.csv", "carrier").get(code, code)


def airport_name(code: str) -> str:
    """Return the name of an airport by its FAA code, or the code if it is not known."""
    return _names("airports.csv", "faa").get(code, code)


@lru_cache(maxsize=2)
def _names(file: str, code: str) -> Mapping[str, str]:
    with (DATA / file).open(encoding="utf-8", newline="") as lines:
        return {row[code]: row["name"] for row in csv.DictReader(lines)}
