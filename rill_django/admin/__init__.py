"""Events and projections to browse in the Django admin, read-only."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin import AdminSite

from rill_django.admin.events import EventAdmin
from rill_django.admin.held import ParkedEventAdmin, SkippedEventAdmin
from rill_django.admin.projections import CheckpointAdmin
from rill_django.admin.readonly import ProjectionAdmin, ReadOnlyAdmin
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent

_ADMINS = {
    Event: EventAdmin,
    Checkpoint: CheckpointAdmin,
    ParkedEvent: ParkedEventAdmin,
    SkippedEvent: SkippedEventAdmin,
}


def register(site: AdminSite) -> None:
    """Register all of it on an admin site of your own, but for models that are registered there already.

    Each of the classes may also be registered by itself, or one of your own that inherits from it: pages
    lead to what is on their own site.
    """
    for model, of_model in _ADMINS.items():
        if not site.is_registered(model):
            site.register(model, of_model)


register(admin.site)

__all__ = [
    "CheckpointAdmin",
    "EventAdmin",
    "ParkedEventAdmin",
    "ProjectionAdmin",
    "ReadOnlyAdmin",
    "SkippedEventAdmin",
    "register",
]
