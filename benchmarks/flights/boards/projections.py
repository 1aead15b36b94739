"""The departure board in two partitions, and by free handlers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from benchmarks.flights.boards.models import FreeDeparture, SplitDeparture
from example_project.flights.domain import Flight, Status
from example_project.flights.projections import DepartureBoard
from rill_django import Projection, RecordedEvent, on


class SplitBoard(DepartureBoard):
    """For two workers at once."""

    model = SplitDeparture
    partitions = 2


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
