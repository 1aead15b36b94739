"""The read side: tables derived from the flights' events. Only projections write to them."""

from __future__ import annotations

from django.db import models

from example_project.flights.domain import LATE_MINUTES, Flight, Status
from example_project.flights.names import airport_name, carrier_name


class Departure(models.Model):
    """One line of the departure board: a flight as it stands."""

    carrier = models.CharField(max_length=2)
    number = models.PositiveIntegerField()
    date = models.DateField()
    origin = models.CharField(max_length=3)
    destination = models.CharField(max_length=3)
    tail_number = models.CharField("aircraft", max_length=10, blank=True)
    distance = models.PositiveIntegerField("distance in miles", null=True)
    scheduled_at = models.DateTimeField("scheduled departure")
    status = models.CharField(
        max_length=12,
        choices=[(one.value, one.value) for one in Status if one is not Status.UNSCHEDULED],
    )
    departure_delay = models.IntegerField("departure delay (min)", null=True)
    arrival_delay = models.IntegerField("arrival delay (min)", null=True)
    air_time = models.PositiveIntegerField("minutes in the air", null=True)

    class Meta:
        ordering = ("scheduled_at", "origin", "carrier", "number")
        constraints = (
            models.UniqueConstraint(
                fields=("carrier", "number", "date", "origin"), name="flights_departure_flight"
            ),
        )
        indexes = (
            models.Index(
                fields=("scheduled_at", "origin", "carrier", "number"),
                name="flights_departure_order",
            ),
        )

    def __str__(self) -> str:
        return f"{self.designator} {self.origin}–{self.destination} {self.date}"

    @property
    def designator(self) -> str:
        """Carrier and number as they stand on a ticket, e.g. ``UA 1545``."""
        return f"{self.carrier} {self.number}"

    @property
    def stream(self) -> str:
        """Name of the stream that all of this follows from."""
        return Flight(self.carrier, self.number, self.date, self.origin).stream

    @property
    def destination_name(self) -> str:
        """The airport's name, or its code if it is not known."""
        return airport_name(self.destination)

    @property
    def remark(self) -> str:
        """What a board in the hall would show in its last column."""
        if self.departure_delay is None or self.status == Status.DIVERTED.value:
            return self.status
        if self.departure_delay >= LATE_MINUTES:
            return f"{self.departure_delay} min late"
        return "on time"


class CarrierPunctuality(models.Model):
    """How many flights a carrier had, what became of them, and how late they were."""

    carrier = models.CharField(max_length=2, primary_key=True)
    flights = models.PositiveIntegerField(default=0)
    departed = models.PositiveIntegerField(default=0)
    arrived = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    diverted = models.PositiveIntegerField(default=0)
    departed_late = models.PositiveIntegerField(default=0)
    arrived_late = models.PositiveIntegerField(default=0)
    departure_delays = models.BigIntegerField("sum of departure delays in minutes", default=0)
    arrival_delays = models.BigIntegerField("sum of arrival delays in minutes", default=0)

    class Meta:
        ordering = ("carrier",)
        verbose_name = "carrier's punctuality"
        verbose_name_plural = "punctuality by carrier"

    def __str__(self) -> str:
        return self.carrier_name

    @property
    def carrier_name(self) -> str:
        """The carrier's name, or its code if it is not known."""
        return carrier_name(self.carrier)

    @property
    def mean_departure_delay(self) -> float | None:
        """In minutes; negative: early on average."""
        return mean(self.departure_delays, self.departed)

    @property
    def mean_arrival_delay(self) -> float | None:
        """In minutes; negative: early on average."""
        return mean(self.arrival_delays, self.arrived)

    @property
    def on_time(self) -> float | None:
        """Part of the departed flights that left on time, from 0 to 1."""
        return mean(self.departed - self.departed_late, self.departed)


class AirportDay(models.Model):
    """One day at one airport."""

    origin = models.CharField("airport", max_length=3)
    date = models.DateField()
    scheduled = models.PositiveIntegerField(default=0)
    departed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    departed_late = models.PositiveIntegerField(default=0)
    departure_delays = models.BigIntegerField("sum of departure delays in minutes", default=0)

    class Meta:
        ordering = ("date", "origin")
        constraints = (
            models.UniqueConstraint(fields=("origin", "date"), name="flights_airportday_day"),
        )

    def __str__(self) -> str:
        return f"{self.origin} {self.date}"

    @property
    def airport_name(self) -> str:
        """The airport's name, or its code if it is not known."""
        return airport_name(self.origin)

    @property
    def mean_departure_delay(self) -> float | None:
        """In minutes; negative: early on average."""
        return mean(self.departure_delays, self.departed)


class DepartureHour(models.Model):
    """Departures from one airport that were scheduled for one hour of the day, all days together."""

    origin = models.CharField("airport", max_length=3)
    hour = models.PositiveSmallIntegerField("hour of the scheduled departure")
    departed = models.PositiveIntegerField(default=0)
    departed_late = models.PositiveIntegerField(default=0)
    departure_delays = models.BigIntegerField("sum of departure delays in minutes", default=0)

    class Meta:
        ordering = ("hour", "origin")
        verbose_name = "hour of departure"
        verbose_name_plural = "delays by hour"
        constraints = (
            models.UniqueConstraint(fields=("origin", "hour"), name="flights_departurehour_hour"),
        )

    def __str__(self) -> str:
        return f"{self.origin} {self.hour:02}:00"

    @property
    def mean_departure_delay(self) -> float | None:
        """In minutes; negative: early on average."""
        return mean(self.departure_delays, self.departed)


def mean(total: int, number: int) -> float | None:
    """Return the mean, or ``None`` where there is nothing to take it of."""
    return total / number if number else None
