"""What the front page shows, read from the projections and from the end of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Max, Min, Sum

from example_project.flights.models import (
    AirportDay,
    CarrierPunctuality,
    Departure,
    DepartureHour,
    mean,
)
from example_project.flights.names import airport_name
from example_project.home.chart import DelayChart, Hour, delay_chart
from rill_django.models import Event
from rill_django.projections.status import ProjectionStatus, projection_statuses

NEWEST_EVENTS = 8
BOARD_LINES = 7


@dataclass(frozen=True)
class Airport:
    """An airport over all its days. Means are in minutes."""

    code: str
    scheduled: int
    cancelled: int
    late: float | None
    mean_delay: float | None
    days: int
    first_day: date
    last_day: date

    @property
    def name(self) -> str:
        """The airport's name."""
        return airport_name(self.code)


@dataclass(frozen=True)
class Figures:
    """Everything on the page."""

    projections: Sequence[ProjectionStatus]
    airports: Sequence[Airport]
    carriers: Sequence[CarrierPunctuality]
    chart: DelayChart | None
    board: Sequence[Departure]
    newest: Sequence[Event]

    @property
    def events(self) -> int:
        """Events in the log: its last position, since positions are consecutive from 1."""
        return max((one.head for one in self.projections), default=0)

    @property
    def flights(self) -> int:
        """Flights that were scheduled."""
        return sum(airport.scheduled for airport in self.airports)

    @property
    def days(self) -> int:
        """Days with flights."""
        return max((airport.days for airport in self.airports), default=0)

    @property
    def first_day(self) -> date | None:
        """First day with a flight."""
        return min((airport.first_day for airport in self.airports), default=None)

    @property
    def last_day(self) -> date | None:
        """Last day with a flight."""
        return max((airport.last_day for airport in self.airports), default=None)


def read_figures() -> Figures:
    """Read all of it: one query for each projection's checkpoint, and one for each part of the page."""
    return Figures(
        projections=projection_statuses(),
        airports=airports(),
        carriers=sorted(
            CarrierPunctuality.objects.all(), key=lambda carrier: carrier.flights, reverse=True
        ),
        chart=delay_chart(hours()),
        board=list(Departure.objects.reverse()[:BOARD_LINES])[::-1],
        newest=list(
            # Without their payloads, which may be long.
            Event.objects.select_related("place")
            .defer("data", "metadata")
            .order_by("-id")[:NEWEST_EVENTS]
        ),
    )


def airports() -> list[Airport]:
    """Return each airport over all its days."""
    sums = (
        AirportDay.objects.order_by()
        .values("origin")
        .annotate(
            days=Count("date"),
            first_day=Min("date"),
            last_day=Max("date"),
            flights=Sum("scheduled"),
            left=Sum("departed"),
            not_left=Sum("cancelled"),
            left_late=Sum("departed_late"),
            delays=Sum("departure_delays"),
        )
        .order_by("-flights")
    )
    return [
        Airport(
            code=one["origin"],
            scheduled=one["flights"],
            cancelled=one["not_left"],
            late=mean(one["left_late"], one["left"]),
            mean_delay=mean(one["delays"], one["left"]),
            days=one["days"],
            first_day=one["first_day"],
            last_day=one["last_day"],
        )
        for one in sums
    ]


def hours() -> list[Hour]:
    """Return the hours of the day, all airports together."""
    sums = (
        DepartureHour.objects.order_by()
        .values("hour")
        .annotate(number=Sum("departed"), delays=Sum("departure_delays"))
        .order_by("hour")
    )
    return [Hour(one["hour"], one["number"], one["delays"]) for one in sums if one["number"]]
