"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class RillConfig(AppConfig):
    """Finds the domain, upcasters, projections and triggers of every app, as Django finds ``admin.py``."""

    name = "rill_django"
    verbose_name = _("Event sourcing")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the project's database what ``Account.get`` and the like reach, and look for definitions."""
        from rill_django import checks  # noqa: F401 - registers them
        from rill_django.dispatch import project_dispatcher
        from rill_django.domain import runtime

        runtime.set_default(project_dispatcher())
        autodiscover_modules("domain", "upcasters", "projections", "triggers")
