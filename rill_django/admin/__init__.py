"""Events and projections to browse in the Django admin, read-only."""

from __future__ import annotations

from django.contrib import admin

from rill_django.admin.events import EventAdmin
from rill_django.admin.held import ParkedEventAdmin, SkippedEventAdmin
from rill_django.admin.projections import CheckpointAdmin
from rill_django.admin.readonly import ProjectionAdmin, ReadOnlyAdmin
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent

admin.site.register(Event, EventAdmin)
admin.site.register(Checkpoint, CheckpointAdmin)
admin.site.register(ParkedEvent, ParkedEventAdmin)
admin.site.register(SkippedEvent, SkippedEventAdmin)

__all__ = ["CheckpointAdmin", "EventAdmin", "ProjectionAdmin", "ReadOnlyAdmin"]
