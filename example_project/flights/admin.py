"""Read-only lists of what the projections keep."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from example_project.flights.models import (
    AirportDay,
    CarrierPunctuality,
    Departure,
    DepartureHour,
)
from example_project.flights.reports import NEW_YORK
from rill_django.admin import ProjectionAdmin


def minutes(value: float | None) -> str:
    """Return a mean delay as it is shown in a list."""
    return "–" if value is None else f"{value:+.1f} min"


@admin.register(Departure)
class DepartureAdmin(ProjectionAdmin):
    """The departure board."""

    list_display = (
        "time",
        "flight",
        "origin",
        "destination",
        "status",
        "departure_delay",
        "arrival_delay",
        "tail_number",
    )
    list_display_links = ("flight",)
    list_filter = ("origin", "status", "carrier")
    search_fields = ("=number", "=carrier", "=destination", "tail_number")
    search_help_text = "Number, carrier, destination or aircraft"
    date_hierarchy = "date"
    ordering = ("scheduled_at", "origin", "carrier", "number")
    readonly_fields = ("time", "events")
    fields = (
        "events",
        "time",
        "origin",
        "destination",
        "distance",
        "status",
        "departure_delay",
        "arrival_delay",
        "air_time",
        "tail_number",
    )

    @admin.display(description="departure", ordering="scheduled_at")
    def time(self, row: Departure) -> str:
        """By the timetable, and by the clocks in New York: the rest of the admin shows UTC."""
        return f"{row.scheduled_at.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"

    @admin.display(description="flight", ordering="number")
    def flight(self, row: Departure) -> str:
        """Carrier and number."""
        return row.designator

    @admin.display(description="events")
    def events(self, row: Departure) -> SafeString:
        """A link to what the row follows from."""
        return self.events_link(row, row.stream)


@admin.register(CarrierPunctuality)
class CarrierPunctualityAdmin(ProjectionAdmin):
    """Punctuality by carrier."""

    list_display = (
        "carrier",
        "name",
        "flights",
        "departed",
        "cancelled",
        "diverted",
        "on_time",
        "mean_departure_delay",
        "mean_arrival_delay",
    )
    search_fields = ("=carrier",)
    ordering = ("-flights",)

    @admin.display(description="name")
    def name(self, row: CarrierPunctuality) -> str:
        """The carrier's name."""
        return row.carrier_name

    @admin.display(description="left on time")
    def on_time(self, row: CarrierPunctuality) -> str:
        """Part of the departures."""
        return "–" if row.on_time is None else f"{row.on_time:.0%}"

    @admin.display(description="mean departure delay")
    def mean_departure_delay(self, row: CarrierPunctuality) -> str:
        """In minutes."""
        return minutes(row.mean_departure_delay)

    @admin.display(description="mean arrival delay")
    def mean_arrival_delay(self, row: CarrierPunctuality) -> str:
        """In minutes."""
        return minutes(row.mean_arrival_delay)


class DelaysAdmin(ProjectionAdmin):
    """What the lists by day and by hour have in common."""

    list_filter = ("origin",)

    @admin.display(description="mean departure delay")
    def mean_departure_delay(self, row: AirportDay | DepartureHour) -> str:
        """In minutes."""
        return minutes(row.mean_departure_delay)


@admin.register(AirportDay)
class AirportDayAdmin(DelaysAdmin):
    """The day at each airport."""

    list_display = (
        "date",
        "origin",
        "scheduled",
        "departed",
        "cancelled",
        "departed_late",
        "mean_departure_delay",
    )
    date_hierarchy = "date"
    ordering = ("date", "origin")


@admin.register(DepartureHour)
class DepartureHourAdmin(DelaysAdmin):
    """Delays by the hour of the timetable."""

    list_display = ("hour", "origin", "departed", "departed_late", "mean_departure_delay")
    ordering = ("hour", "origin")
