"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class FlightsConfig(AppConfig):
    """Domain, projections and admin of the flights."""

    name = "example_project.flights"
    verbose_name = "Flights"
    default_auto_field = "django.db.models.BigAutoField"
