"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class HomeConfig(AppConfig):
    """The front page and the demo."""

    name = "example_project.home"
    verbose_name = "Home"
