"""From the flights' events to the tables that people look at.

Every event carries the key properties of its flight, so carrier, date and origin are always at hand.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from example_project.flights.domain import LATE_MINUTES, Flight, Status
from example_project.flights.models import (
    AirportDay,
    CarrierPunctuality,
    Departure,
    DepartureHour,
)
from example_project.flights.reports import NEW_YORK
from rill_django import RecordedEvent, RowProjection, on


class DepartureBoard(RowProjection[Departure]):
    """One row per flight, as it stands.

    No flight has to do with another, so ``partitions = 2`` would let two workers share it, and on PostgreSQL
    two processes a rebuild. One worker, as in the demo, is quicker with a projection in one piece.
    """

    key = ("carrier", "number", "date", "origin")

    @on(Flight.scheduled)
    def scheduled(
        self,
        row: Departure,
        event: RecordedEvent,
        destination: str,
        departure_at: datetime,
        tail_number: str | None = None,
        distance: int | None = None,
    ) -> None:
        row.destination = destination
        row.scheduled_at = departure_at
        row.tail_number = tail_number or ""
        row.distance = distance
        row.status = Status.SCHEDULED.value

    @on(Flight.departed)
    def departed(self, row: Departure, event: RecordedEvent, at: datetime, delay: int) -> None:
        row.status = Status.DEPARTED.value
        row.departure_delay = delay

    @on(Flight.arrived)
    def arrived(
        self, row: Departure, event: RecordedEvent, delay: int, air_time: int | None = None
    ) -> None:
        row.status = Status.ARRIVED.value
        row.arrival_delay = delay
        row.air_time = air_time

    @on(Flight.cancelled)
    def cancelled(self, row: Departure, event: RecordedEvent) -> None:
        row.status = Status.CANCELLED.value

    @on(Flight.diverted)
    def diverted(self, row: Departure, event: RecordedEvent) -> None:
        row.status = Status.DIVERTED.value


class PunctualityByCarrier(RowProjection[CarrierPunctuality]):
    """One row per carrier."""

    key = "carrier"

    @on(Flight.scheduled)
    def scheduled(self, row: CarrierPunctuality, event: RecordedEvent) -> None:
        row.flights += 1

    @on(Flight.departed)
    def departed(
        self, row: CarrierPunctuality, event: RecordedEvent, at: datetime, delay: int
    ) -> None:
        add_departure(row, delay)

    @on(Flight.arrived)
    def arrived(
        self, row: CarrierPunctuality, event: RecordedEvent, delay: int, air_time: int | None = None
    ) -> None:
        row.arrived += 1
        row.arrived_late += delay >= LATE_MINUTES
        row.arrival_delays += delay

    @on(Flight.cancelled)
    def cancelled(self, row: CarrierPunctuality, event: RecordedEvent) -> None:
        row.cancelled += 1

    @on(Flight.diverted)
    def diverted(self, row: CarrierPunctuality, event: RecordedEvent) -> None:
        row.diverted += 1


class AirportDays(RowProjection[AirportDay]):
    """One row per airport and day."""

    key = ("origin", "date")

    @on(Flight.scheduled)
    def scheduled(self, row: AirportDay, event: RecordedEvent) -> None:
        row.scheduled += 1

    @on(Flight.departed)
    def departed(self, row: AirportDay, event: RecordedEvent, at: datetime, delay: int) -> None:
        add_departure(row, delay)

    @on(Flight.cancelled)
    def cancelled(self, row: AirportDay, event: RecordedEvent) -> None:
        row.cancelled += 1


def hour_of_departure(event: RecordedEvent) -> dict[str, Any]:
    """Return the row of a departure: by the hour in the timetable, which its own time and delay give."""
    scheduled_at = event.at - timedelta(minutes=event.delay)
    # Events keep the offset from UTC, not the zone: a delay may reach into or out of summer time.
    return {"origin": event.origin, "hour": scheduled_at.astimezone(NEW_YORK).hour}


class DelaysByHour(RowProjection[DepartureHour]):
    """One row per airport and hour of the day."""

    key = hour_of_departure

    @on(Flight.departed)
    def departed(self, row: DepartureHour, event: RecordedEvent, at: datetime, delay: int) -> None:
        add_departure(row, delay)


def add_departure(row: CarrierPunctuality | AirportDay | DepartureHour, delay: int) -> None:
    """Count a departure and its delay, in minutes, in a row that sums them up."""
    row.departed += 1
    row.departed_late += delay >= LATE_MINUTES
    row.departure_delays += delay
