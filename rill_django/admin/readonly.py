"""What is derived or immutable can be looked at, not changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR
from django.db import DataError
from django.db.models import Model
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from rill_django.admin.links import Links, attach_links, links_of
from rill_django.admin.not_migrated import told_to_migrate
from rill_django.store.moments import local
from rill_django.store.tables import Event

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """A ModelAdmin with lists and details, and nothing that changes anything."""

    actions = None

    def get_urls(self) -> list[URLPattern]:
        """Add to each page what it says if the log is not migrated."""
        return [told_to_migrate(pattern, self.admin_site) for pattern in super().get_urls()]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def links(self, request: HttpRequest) -> Links:
        """Return where the pages lead to on this site, for this user."""
        return Links(self.admin_site, request)

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """See Django. The row knows where it may lead to."""
        row = super().get_object(request, *args, **kwargs)
        if row is not None:
            attach_links(row, self.links(request))
        return row

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """See Django. What no database can be asked for leads to a list without it, as other mistakes do."""
        for name, values in request.GET.lists():
            if name != SEARCH_VAR and any("\0" in text for text in (name, *values)):
                raise IncorrectLookupParameters(f"{name!r} has a NUL character in it")
        try:
            found = super().get_changelist_instance(request)
        except (DataError, OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(str(error)) from error
        links = self.links(request)
        for row in found.result_list:
            attach_links(row, links)
        return found


class ProjectionAdmin(ReadOnlyAdmin):
    """For the models of projections. Their rows follow from events alone, so a change here would be lost."""

    def events_link(self, row: Model, stream: str) -> SafeString:
        """Return the name of a stream, leading to its events; for a column, or a read-only field.

        It is plain text where the log is not on this site, or the user may not see it.

        Args:
            row: that is shown.
            stream: canonical name, e.g. ``bank.Account/12345678``.
        """
        links = links_of(row)
        return links.link(stream, links.to(Event, "changelist", stream__exact=stream))


def local_text(moment: datetime) -> str:
    """Return a time as people read it, in the current time zone, also where ``USE_TZ`` is off."""
    return date_format(local(moment), "DATETIME_FORMAT")
