"""Parked and skipped events in the admin."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from rill_django.admin.links import Links, links_of
from rill_django.admin.readonly import ReadOnlyAdmin, local_text
from rill_django.admin.terms import spellings
from rill_django.domain.streams import key_text
from rill_django.models import Checkpoint, Event, ParkedEvent, SkippedEvent
from rill_django.projections.reasons import reason_of

_LONGEST_REPR = 200  # What a LogEntry keeps.


def event_urls(identities: Collection[str], links: Links) -> Mapping[str, str]:
    """Return the addresses of events (``stream@version``) that are in the log; in one query.

    There are none where the log is not on this site, or the user may not see it.
    """
    if not links.may_view(Event):
        return {}
    wanted = Q()
    for identity in identities:
        stream, _at, version = identity.rpartition("@")
        if stream and version.isdecimal():
            wanted |= Q(stream=stream, version=int(version))
    if not wanted:
        return {}
    return {
        f"{stream}@{version}": links.to(Event, "change", pk)
        for stream, version, pk in Event.objects.filter(wanted).values_list(
            "stream", "version", "pk"
        )
    }


def skipped_by(skipped: Collection[SkippedEvent]) -> Mapping[int, str]:
    """Return who skipped these events in the admin. One of ``manage.py retry_projection`` has no name."""
    by_key = {str(one.pk): one for one in skipped}
    of_skipped = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(SkippedEvent),
        action_flag=ADDITION,
        object_id__in=by_key,
    )
    return {
        by_key[entry.object_id].pk: entry.user.get_username()
        for entry in of_skipped.select_related("user")
        # Projections in other databases have skipped events with the same keys.
        if entry.object_id in by_key
        and entry.object_repr == str(by_key[entry.object_id])[:_LONGEST_REPR]
    }


class HeldEventAdmin(ReadOnlyAdmin):
    """What both have in common: the event, leading to itself, and the error."""

    list_filter = ("projection",)
    search_fields = ("event",)

    class Media:
        css = {"all": ("rill_django/admin.css",)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for events, by the letters of their keys or by those of their streams' names."""
        wanted = Q(event__icontains=search_term.strip())
        for spelling in spellings(search_term.strip()):
            wanted |= Q(event__icontains=key_text(spelling))
        return queryset.filter(wanted), False

    @admin.display(description=_("projection"))
    def projection_link(self, held: Any) -> SafeString:
        """Lead to the projection's page, where events are retried and skipped."""
        return projection_link(held, held.projection)

    @admin.display(description=_("event"))
    def event_link(self, held: Any) -> SafeString:
        """Lead to the event in the log."""
        links = links_of(held)
        return links.link(held.event, links.to(Event, "changelist", q=held.event))

    @admin.display(description=_("error"))
    def last_line(self, held: Any) -> str:
        """The error itself, without its traceback."""
        return reason_of(held.error) or str(_("waits behind an earlier event"))

    @admin.display(description=_("error"))
    def traceback(self, held: Any) -> SafeString:
        """The traceback, with its line breaks."""
        return format_html('<pre class="rill-json">{}</pre>', held.error or "–")


class ParkedEventAdmin(HeldEventAdmin):
    """Events that wait for a handler to be mended."""

    list_display = ("event", "projection", "last_line", "parked")
    fields = ("projection_link", "event_link", "position", "keys", "parked", "traceback")
    readonly_fields = ("projection_link", "event_link", "parked", "traceback")

    @admin.display(description=_("parked at"), ordering="parked_at")
    def parked(self, parked: ParkedEvent) -> str:
        """When, in the current time zone."""
        return local_text(parked.parked_at)


class SkippedEventAdmin(HeldEventAdmin):
    """Events that somebody decided never to apply."""

    list_display = ("event", "projection", "reason", "skipped")
    fields = (
        "projection_link",
        "event_link",
        "position",
        "reason",
        "by",
        "skipped",
        "traceback",
    )
    readonly_fields = ("projection_link", "event_link", "by", "skipped", "traceback")

    @admin.display(description=_("skipped at"), ordering="skipped_at")
    def skipped(self, skipped: SkippedEvent) -> str:
        """When, in the current time zone."""
        return local_text(skipped.skipped_at)

    @admin.display(description=_("skipped by"))
    def by(self, skipped: SkippedEvent) -> str:
        """Who decided it, if it was in the admin."""
        return skipped_by([skipped]).get(skipped.pk, "–")


def projection_link(row: Model, name: str) -> SafeString:
    """Return the name of a projection, leading from a row to its page."""
    links = links_of(row)
    return links.link(name, links.to(Checkpoint, "projection", name))
