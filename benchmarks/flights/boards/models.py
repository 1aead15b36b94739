"""Rows of the same shape as the example project's departure board, indexes included."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """A flight as it stands. See `example_project.flights.models.Departure`."""

    carrier = models.CharField(max_length=2)
    number = models.PositiveIntegerField()
    date = models.DateField()
    origin = models.CharField(max_length=3)
    destination = models.CharField(max_length=3)
    tail_number = models.CharField(max_length=10, blank=True)
    distance = models.PositiveIntegerField(null=True)
    scheduled_at = models.DateTimeField()
    status = models.CharField(max_length=12)
    departure_delay = models.IntegerField(null=True)
    arrival_delay = models.IntegerField(null=True)
    air_time = models.PositiveIntegerField(null=True)

    class Meta:
        abstract = True
        constraints = (
            models.UniqueConstraint(
                fields=("carrier", "number", "date", "origin"), name="%(class)s_flight"
            ),
        )
        indexes = (
            models.Index(
                fields=("scheduled_at", "origin", "carrier", "number"), name="%(class)s_order"
            ),
        )

    def __str__(self) -> str:
        return f"{self.carrier} {self.number} {self.origin} {self.date}"


class SplitDeparture(Row):
    """Kept by a projection in two partitions."""


class FreeDeparture(Row):
    """Kept by free handlers, which find it by its stream, as the peer's find theirs by its id."""

    stream = models.CharField(max_length=255, primary_key=True)
