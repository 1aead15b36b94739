"""An aggregate that refuses with whatever a test wants it to say; importable by other processes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from rill_django import Aggregate, Rejected, command, event, key

ANSWERS: dict[str, dict[str, Any]] = {}
"""What each hall says when it refuses. A process that has nothing here cannot decide."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Why(str, enum.Enum):
    FULL = "full"


class Seat(msgspec.Struct, frozen=True):
    row: int
    price: Decimal
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Show:
    day: date
    seats: list[Seat]


class Place(NamedTuple):
    row: int
    letter: str


class Hall(Aggregate, name="tests.Hall"):
    """Lets nobody in, and says why."""

    name: str = key()
    opened_on: date | None = None

    @event
    def opened(
        self, on: date, at: datetime, tags: set[str | int], seats: dict[int, Decimal]
    ) -> Hall:
        """It is open."""
        return self.evolve(opened_on=on)

    @command
    def open(self, on: date, at: datetime, tags: set[str | int], seats: dict[int, Decimal]) -> Hall:
        """Open it."""
        return self.opened(on, at, tags, seats)

    @command
    def enter(self) -> Hall | Rejected:
        """Refuse."""
        return self.reject("closed", **ANSWERS[self.name])

    @command
    def leave(self) -> Hall | Rejected:
        """Refuse with what was only tried out."""
        tried = self.opened(date(2030, 1, 1), datetime(2030, 1, 1), set(), {})  # noqa: DTZ001
        return tried.reject(Why.FULL, tried=tried.exists)
