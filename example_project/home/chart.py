"""The picture on the front page as geometry: pure functions from figures to what the SVG says.

Across, everything is in percent and upright, in pixels: so the picture is as wide as there is room, and
its letters keep their size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from example_project.flights.domain import LATE_MINUTES

TOP = 26
DELAY_HEIGHT = 210
LABEL_HEIGHT = 30
NUMBER_HEIGHT = 62
BOTTOM = 20
GRID_STEP = 5
MOST_LINES = 6
GUTTER = 4.0
"""Per cent kept free at the left, for the scale."""

COLUMN_SHARE = 0.68
"""Part of its place that a column takes up."""

FEW = 30
"""Hours with fewer departures than this are not spoken of: their mean says little."""


class Hour(NamedTuple):
    """Departures that were scheduled for an hour of the day, and the sum of their delays in minutes."""

    hour: int
    departures: int
    delays: int

    @property
    def mean(self) -> float:
        """Mean delay in minutes."""
        return self.delays / self.departures


@dataclass(frozen=True)
class Column:
    """One hour: a column above the line for the delay, one below for the number of departures."""

    hour: str
    mean: str
    departures: int
    late: bool
    x: str
    middle: str
    width: str
    y: str
    height: str
    value_y: str
    number_height: str
    number_value_y: str


@dataclass(frozen=True)
class GridLine:
    """A number of minutes, and where it is."""

    minutes: int
    y: str
    late: bool


@dataclass(frozen=True)
class DelayChart:
    """Mean delay and number of departures by the hour of the timetable."""

    height: int
    baseline: str
    hours_y: str
    numbers_y: str
    columns: Sequence[Column]
    grid: Sequence[GridLine]
    best: Hour
    worst: Hour


def delay_chart(hours: Sequence[Hour]) -> DelayChart | None:
    """Lay the picture out; ``None``: there is nothing to show."""
    if not hours:
        return None
    highest = max(GRID_STEP, LATE_MINUTES, *(hour.mean for hour in hours))
    lowest = min(0.0, *(hour.mean for hour in hours), 0.0)
    top = math.ceil(highest / GRID_STEP) * GRID_STEP
    step = grid_step(top)
    pixels = DELAY_HEIGHT / (top - lowest)
    baseline = TOP + top * pixels
    hours_y = TOP + DELAY_HEIGHT + LABEL_HEIGHT * 0.66
    numbers_y = TOP + DELAY_HEIGHT + LABEL_HEIGHT
    busiest = max(hour.departures for hour in hours)
    first, last = hours[0].hour, hours[-1].hour
    place = (100 - GUTTER) / (last - first + 1)

    def column(hour: Hour) -> Column:
        left = GUTTER + (hour.hour - first) * place
        upper = baseline - max(hour.mean, 0) * pixels
        number_height = max(NUMBER_HEIGHT * hour.departures / busiest, 1)
        return Column(
            hour=f"{hour.hour:02}",
            mean=f"{hour.mean:.0f}".replace("-", "−"),
            departures=hour.departures,
            late=hour.mean >= LATE_MINUTES,
            x=f"{left + place * (1 - COLUMN_SHARE) / 2:.2f}%",
            middle=f"{left + place / 2:.2f}%",
            width=f"{place * COLUMN_SHARE:.2f}%",
            y=f"{upper:.1f}",
            height=f"{max(abs(hour.mean) * pixels, 1):.1f}",
            value_y=f"{upper - 7:.1f}",
            number_height=f"{number_height:.1f}",
            number_value_y=f"{numbers_y + number_height + 14:.1f}",
        )

    telling = [hour for hour in hours if hour.departures >= FEW] or hours
    return DelayChart(
        height=TOP + DELAY_HEIGHT + LABEL_HEIGHT + NUMBER_HEIGHT + BOTTOM,
        baseline=f"{baseline:.1f}",
        hours_y=f"{hours_y:.1f}",
        numbers_y=f"{numbers_y:.1f}",
        columns=[column(hour) for hour in hours],
        grid=[
            GridLine(minutes, f"{baseline - minutes * pixels:.1f}", minutes == LATE_MINUTES)
            for minutes in sorted({*range(step, top + 1, step), LATE_MINUTES})
        ],
        best=min(telling, key=lambda hour: hour.mean),
        worst=max(telling, key=lambda hour: hour.mean),
    )


def grid_step(top: int) -> int:
    """Return how many minutes apart the lines are: 5, 10, 25, 50, 100, …, so that there are six at most."""
    step, factors = GRID_STEP, cycle((2, 2.5, 2))
    while step * MOST_LINES < top:
        step = int(step * next(factors))
    return step
