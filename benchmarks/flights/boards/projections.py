"""The departure board in two partitions, and by free handlers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from benchmarks.flights.boards.models import FreeDeparture, SplitDeparture
from example_project.flights.domain import Flight, Status
from rill_django import Projection, RecordedEvent, RowProjection, on


class SplitBoard(RowProjection[SplitDeparture]):
    """The example's board for two workers at once: its handlers are for rows of its own model alone."""

    key = ("carrier", "number", "date", "origin")
    partitions = 2

    @on(Flight.scheduled)
    def scheduled(self, row: SplitDeparture, event: RecordedEvent) -> None:
        row.destination = event.destination
        row.scheduled_at = event.departure_at
        row.tail_number = event.tail_number or ""
        row.distance = event.distance
        row.status = Status.SCHEDULED.value

    @on(Flight.departed)
    def departed(self, row: SplitDeparture, event: RecordedEvent) -> None:
        row.status = Status.DEPARTED.value
        row.departure_delay = event.delay

    @on(Flight.arrived)
    def arrived(self, row: SplitDeparture, event: RecordedEvent) -> None:
        row.status = Status.ARRIVED.value
        row.arrival_delay = event.delay
        row.air_time = event.air_time

    @on(Flight.cancelled)
    def cancelled(self, row: SplitDeparture, event: RecordedEvent) -> None:
        row.status = Status.CANCELLED.value

    @on(Flight.diverted)
    def diverted(self, row: SplitDeparture, event: RecordedEvent) -> None:
        row.status = Status.DIVERTED.value


def row(event: RecordedEvent) -> QuerySet[FreeDeparture]:
    """Return the row of the event's flight."""
    return FreeDeparture.objects.filter(stream=event.stream)


class FreeBoard(Projection):
    """With a statement for every event."""

    models = (FreeDeparture,)

    @on(Flight.scheduled)
    def scheduled(self, event: RecordedEvent) -> Any:
        FreeDeparture.objects.create(
            stream=event.stream,
            carrier=event.carrier,
            number=event.number,
            date=event.date,
            origin=event.origin,
            destination=event.destination,
            scheduled_at=event.departure_at,
            tail_number=event.tail_number or "",
            distance=event.distance,
            status=Status.SCHEDULED.value,
        )

    @on(Flight.departed)
    def departed(self, event: RecordedEvent) -> Any:
        row(event).update(status=Status.DEPARTED.value, departure_delay=event.delay)

    @on(Flight.arrived)
    def arrived(self, event: RecordedEvent) -> Any:
        row(event).update(
            status=Status.ARRIVED.value, arrival_delay=event.delay, air_time=event.air_time
        )

    @on(Flight.cancelled)
    def cancelled(self, event: RecordedEvent) -> Any:
        row(event).update(status=Status.CANCELLED.value)

    @on(Flight.diverted)
    def diverted(self, event: RecordedEvent) -> Any:
        row(event).update(status=Status.DIVERTED.value)
