"""The log in the admin."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from rill_django.admin.links import links_of
from rill_django.admin.paging import CappedPaginator, EventList
from rill_django.admin.readonly import ReadOnlyAdmin
from rill_django.admin.terms import KEYS_UNKNOWN, interpreted
from rill_django.domain.registry import current_registry
from rill_django.models import Event
from rill_django.store.finding import find_events
from rill_django.store.moments import DatabaseTime, local
from rill_django.store.tables import Position, StoredType

NOTHING = "–"
LONGEST_ACTOR = 100
LONGEST_SHOWN = 100_000
"""Characters of a payload that its page shows."""

_MANY = _(
    "Many events match. These are the latest of them, and those whose streams come first by name. Say "
    "more of the key to see all."
)


class TypeFilter(admin.SimpleListFilter):
    """By event type. The choices come from the code: asking the log which it has would read all of it."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """See Django."""
        return [(name, name) for name in sorted(current_registry().events)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """See Django."""
        return queryset.filter(type=self.value()) if self.value() else queryset


class RecordedFilter(admin.SimpleListFilter):
    """By time, in steps that an index serves."""

    title = _("recorded")
    parameter_name = "within"
    spans = {
        "hour": (_("Past hour"), timedelta(hours=1)),
        "day": (_("Past 24 hours"), timedelta(days=1)),
        "week": (_("Past 7 days"), timedelta(days=7)),
        "month": (_("Past 30 days"), timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """See Django."""
        return [(name, title) for name, (title, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """See Django."""
        chosen = self.spans.get(self.value() or "")
        return queryset.filter(recorded_at__gte=DatabaseTime(-chosen[1])) if chosen else queryset


class EventAdmin(ReadOnlyAdmin):
    """Lists events, the latest first, and shows each with its payload."""

    list_display = ("time", "stream", "short_type", "version", "actor")
    list_display_links = ("time",)
    list_filter = (TypeFilter, RecordedFilter)
    list_per_page = 50
    ordering = ("-id",)
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("stream",)
    search_help_text = _(
        "A key or the beginning of one (1234, Zoë, a/b), a stream or the beginning of one "
        "(bank.Account/1234), an event (bank.Account/1234@0), or a position in the log"
    )
    fields = (
        "type_with_description",
        ("stream_link", "version", "position"),
        ("time", "actor"),
        "payload",
        "circumstances",
        "neighbours",
    )
    readonly_fields = (
        "type_with_description",
        "stream_link",
        "version",
        "position",
        "time",
        "actor",
        "payload",
        "circumstances",
        "neighbours",
    )

    class Media:
        css = {"all": ("rill_django/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """See Django."""
        events: QuerySet[Event] = super().get_queryset(request)
        # A list of long payloads would take up gigabytes; a page about one event asks for its own.
        events = events.defer("data", "metadata").annotate(by=KT("metadata__actor"))
        return cast("QuerySet[Event]", events.select_related("place"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """See Django."""
        return EventList

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """No column: only the order of the log is served by an index."""
        return ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Look for streams, keys, an event's identity or a position; all by index."""
        if not search_term.strip():
            return queryset, False
        term = interpreted(search_term, _categories(queryset.db))
        found = find_events(term.beginnings, using=queryset.db)
        ids = set(found.ids)
        if term.version is not None:
            named = Event.objects.using(queryset.db).filter(
                stream__in=term.names, version=term.version
            )
            ids.update(named.values_list("pk", flat=True))
        if term.position is not None:
            places = Position.objects.using(queryset.db).filter(position=term.position)
            ids.update(places.values_list("event_id", flat=True))
        if not found.is_all:
            self.message_user(request, _MANY, messages.WARNING, fail_silently=True)
        return queryset.filter(pk__in=ids), False

    @admin.display(description=_("time"), ordering="id")
    def time(self, event: Event) -> Any:
        """To the millisecond: many events happen in one second."""
        moment = local(event.recorded_at)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"

    @admin.display(description=_("type"))
    def short_type(self, event: Event) -> SafeString:
        """The name, and whether today's code knows it."""
        category, _dot, name = event.type.rpartition(".")
        known = event.type in current_registry().events
        mark = "" if known else format_html(' <span class="rill-mark">{}</span>', _("unknown"))
        return format_html(
            '<strong>{}</strong> <span class="rill-quiet">{}</span>{}', name, category, mark
        )

    @admin.display(description=_("actor"))
    def actor(self, event: Event) -> str:
        """Who did it."""
        by: str | None = getattr(event, "by", None)
        return Truncator(by).chars(LONGEST_ACTOR) if by else NOTHING

    @admin.display(description=_("position in the log"))
    def position(self, event: Event) -> str:
        """Its place in the whole log, once it has one."""
        place = getattr(event, "place", None)
        return NOTHING if place is None else f"{place.position:,}"

    @admin.display(description=_("stream"))
    def stream_link(self, event: Event) -> SafeString:
        """The name, leading to all events of the stream."""
        links = links_of(event)
        return links.link(event.stream, links.to(Event, "changelist", stream__exact=event.stream))

    @admin.display(description=_("type"))
    def type_with_description(self, event: Event) -> SafeString:
        """The full name, with what the code says about it."""
        definition = current_registry().events.get(event.type)
        if definition is None:
            about: Any = _("Today's code does not know this type, and aggregates leave it out.")
        else:
            about = (definition.__doc__ or "").strip()
        return format_html('{}<br><span class="rill-quiet">{}</span>', event.type, about)

    @admin.display(description=_("data"))
    def payload(self, event: Event) -> SafeString:
        """The payload, readable."""
        return _readable(event.data)

    @admin.display(description=_("metadata"))
    def circumstances(self, event: Event) -> SafeString:
        """The metadata, readable."""
        return _readable(event.metadata)

    @admin.display(description=_("in this stream"))
    def neighbours(self, event: Event) -> SafeString:
        """The event before and the one after."""
        near = Event.objects.only("version", "type").filter(
            stream=event.stream, version__in=(event.version - 1, event.version + 1)
        )
        links = links_of(event)
        found = [
            format_html(
                '{} <span class="rill-quiet">{}</span>',
                links.link(
                    f"{'←' if other.version < event.version else '→'} {other.version}",
                    links.to(Event, "change", other.pk),
                ),
                other.type.rpartition(".")[2],
            )
            for other in near.order_by("version")
        ]
        if not found:
            return format_html(
                '<span class="rill-quiet">{}</span>', _("It is the only one so far.")
            )
        return format_html("{}" + " &nbsp; {}" * (len(found) - 1), *found)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the link to all events of a stream."""
        return lookup == "stream__exact" or super().lookup_allowed(lookup, value, request)


def _categories(using: str) -> dict[str, int]:
    """Return the aggregate types of the code and of the log, with the number of their keys."""
    stored = StoredType.objects.using(using).order_by().values_list("category", flat=True)
    known = current_registry().aggregates
    found = {name: len(aggregate.key_names()) for name, aggregate in known.items()}
    return {**dict.fromkeys(stored.distinct(), KEYS_UNKNOWN), **found}


def _readable(value: Any) -> SafeString:
    """Show a value as JSON, as far as somebody would read it: indented, it may be a hundred times as long."""
    text = ""
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        text += piece
        if len(text) > LONGEST_SHOWN:
            return format_html(
                '<pre class="rill-json">{}…</pre><p class="rill-quiet">{}</p>',
                text[:LONGEST_SHOWN],
                _(
                    "Only the beginning is shown. The API and manage.py export_events have all of it."
                ),
            )
    return format_html('<pre class="rill-json">{}</pre>', text)
