"""What is derived or immutable can be looked at, not changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.formats import date_format

from rill_django.store.moments import local

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """A ModelAdmin with lists and details, and nothing that changes anything."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False


class ProjectionAdmin(ReadOnlyAdmin):
    """For the models of projections. Their rows follow from events alone, so a change here would be lost."""


def local_text(moment: datetime) -> str:
    """Return a time as people read it, in the current time zone, also where ``USE_TZ`` is off."""
    return date_format(local(moment), "DATETIME_FORMAT")
