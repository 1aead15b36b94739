"""Parked and skipped events in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from rill_django.admin.readonly import ReadOnlyAdmin


class HeldEventAdmin(ReadOnlyAdmin):
    """What both have in common: the event, leading to itself, and the error."""

    list_filter = ("projection",)
    search_fields = ("event",)

    class Media:
        css = {"all": ("rill_django/admin.css",)}

    @admin.display(description=_("event"))
    def event_link(self, held: Any) -> SafeString:
        """Lead to the event in the log."""
        url = reverse("admin:rill_django_event_changelist", query={"q": held.event})
        return format_html('<a href="{}">{}</a>', url, held.event)

    @admin.display(description=_("error"))
    def last_line(self, held: Any) -> str:
        """The error itself, without its traceback."""
        lines = held.error.strip().splitlines()
        return lines[-1] if lines else str(_("waits behind an earlier event"))

    @admin.display(description=_("error"))
    def traceback(self, held: Any) -> SafeString:
        """The traceback, with its line breaks."""
        return format_html('<pre class="rill-json">{}</pre>', held.error or "–")


class ParkedEventAdmin(HeldEventAdmin):
    """Events that wait for a handler to be mended."""

    list_display = ("event", "projection", "last_line", "parked_at")
    fields = ("projection", "event_link", "position", "keys", "parked_at", "traceback")
    readonly_fields = ("event_link", "traceback")


class SkippedEventAdmin(HeldEventAdmin):
    """Events that somebody decided never to apply."""

    list_display = ("event", "projection", "reason", "skipped_at")
    fields = ("projection", "event_link", "position", "reason", "skipped_at", "traceback")
    readonly_fields = ("event_link", "traceback")
