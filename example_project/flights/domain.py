"""A flight: what may happen to it, and in which order.

Plain Python. Commands decide and events change; neither stores anything, so all of this can be tried
out in a shell or a test without a database.
"""

# No `from __future__ import annotations`: the key `date` would hide the type of that name. For the
# same reason the module is imported as `dt`, and not the class from it.
import datetime as dt
from enum import Enum
from typing import Annotated

from rill_django import Aggregate, Meta, Rejected, command, event, key, require

# The maximum length looks superfluous, but a regular expression's `$` lets a newline pass behind it.
Carrier = Annotated[str, Meta(pattern="^[A-Z0-9]{2}$", max_length=2, description="e.g. UA")]
Airport = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="e.g. EWR")]
Number = Annotated[int, Meta(gt=0, le=9_999)]
TailNumber = Annotated[
    str, Meta(pattern="^[A-Z0-9-]{1,10}$", max_length=10, description="e.g. N14228")
]
Moment = Annotated[dt.datetime, Meta(tz=True)]

# What clients send ends in columns, sums and pictures: a number that no flight has goes no further.
MOST_EARLY = 24 * 60
MOST_LATE = 7 * 24 * 60
Minutes = Annotated[int, Meta(ge=-MOST_EARLY, le=MOST_LATE, description="negative: early")]
Duration = Annotated[int, Meta(gt=0, le=24 * 60, description="in minutes")]
Distance = Annotated[int, Meta(gt=0, le=12_500, description="in miles: half round the Earth")]

FIRST_YEAR, LAST_YEAR = 1914, 2099
"""The first airline with a timetable flew in 1914."""

LATE_MINUTES = 15
"""From this delay on a flight is late. Source: the US Department of Transportation counts a flight as
on time if it operates less than 15 minutes after the time in the timetable."""


class Status(Enum):
    """How a flight stands."""

    UNSCHEDULED = "unscheduled"
    SCHEDULED = "scheduled"
    DEPARTED = "departed"
    ARRIVED = "arrived"
    CANCELLED = "cancelled"
    DIVERTED = "diverted"


# Why a command that asks for another status is rejected: the answer says how the flight stands.
REASONS = {
    Status.UNSCHEDULED: "not-scheduled",
    Status.SCHEDULED: "not-departed",
    Status.DEPARTED: "already-departed",
    Status.ARRIVED: "already-arrived",
    Status.CANCELLED: "already-cancelled",
    Status.DIVERTED: "already-diverted",
}


class Flight(Aggregate):
    """One departure: a carrier's flight number, on one day, from one airport.

    All four are needed: a number is flown every day, and some are flown from two airports in one day.
    """

    carrier: Carrier = key()
    number: Number = key()
    date: dt.date = key(
        require=lambda date: FIRST_YEAR <= date.year <= LAST_YEAR,
        demand=f"must be in the years from {FIRST_YEAR} to {LAST_YEAR}",
    )
    origin: Airport = key()

    status: Status = Status.UNSCHEDULED
    departure_at: dt.datetime | None = None

    # --- what happens to a flight ------------------------------------------------------------

    @event
    def scheduled(
        self,
        destination: Airport,
        departure_at: Moment,
        tail_number: TailNumber | None = None,
        distance: Distance | None = None,
    ) -> "Flight":
        """The carrier put the flight into its timetable."""
        return self.evolve(status=Status.SCHEDULED, departure_at=departure_at)

    @event
    def departed(self, at: Moment, delay: Minutes) -> "Flight":
        """The aircraft left the gate, so many minutes after the time in the timetable."""
        return self.evolve(status=Status.DEPARTED)

    @event
    def arrived(self, delay: Minutes, air_time: Duration | None = None) -> "Flight":
        """The aircraft reached the gate at its destination."""
        return self.evolve(status=Status.ARRIVED)

    @event
    def cancelled(self) -> "Flight":
        """The flight did not take place."""
        return self.evolve(status=Status.CANCELLED)

    @event
    def diverted(self) -> "Flight":
        """The flight left and did not end at its destination as planned."""
        return self.evolve(status=Status.DIVERTED)

    # --- what somebody may want of it ----------------------------------------------------------

    @command
    @require(
        lambda self, destination, *_: destination != self.origin,
        "must be another airport than the origin",
        field="destination",
    )
    @require(
        lambda self, destination, departure_at, *_: departure_at.date() == self.date,
        "must be on the flight's date, by the clocks at the origin",
        field="departure_at",
    )
    def schedule(
        self,
        destination: Airport,
        departure_at: Moment,
        tail_number: TailNumber | None = None,
        distance: Distance | None = None,
    ) -> "Flight | Rejected":
        """Put the flight into the timetable. Once."""
        if self.status is not Status.UNSCHEDULED:
            return self.reject("already-scheduled", status=self.status.value)
        return self.scheduled(destination, departure_at, tail_number, distance)

    @command
    def depart(self, at: Moment) -> "Flight | Rejected":
        """Leave the gate. The delay follows from the timetable, and is a week at most."""
        if self.status is not Status.SCHEDULED or self.departure_at is None:
            return self.reject(REASONS[self.status])
        delay = (at - self.departure_at) // dt.timedelta(minutes=1)
        if not -MOST_EARLY <= delay <= MOST_LATE:
            return self.reject("not-near-its-timetable", departure_at=self.departure_at)
        return self.departed(at, delay)

    @command
    def arrive(self, delay: Minutes, air_time: Duration | None = None) -> "Flight | Rejected":
        """Reach the gate at the destination.

        Takes the delay and no time: clocks at the destination may show another time zone, and a flight
        does not know which.
        """
        if self.status is not Status.DEPARTED:
            return self.reject(REASONS[self.status])
        return self.arrived(delay, air_time)

    @command
    def cancel(self) -> "Flight | Rejected":
        """Call the flight off, which can be done until it leaves."""
        if self.status is not Status.SCHEDULED:
            return self.reject(REASONS[self.status])
        return self.cancelled()

    @command
    def divert(self) -> "Flight | Rejected":
        """End the flight elsewhere than planned."""
        if self.status is not Status.DEPARTED:
            return self.reject(REASONS[self.status])
        return self.diverted()
