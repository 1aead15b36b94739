"""Checks of where events are: positions, queue, versions. Each asks the database few questions."""

from __future__ import annotations

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, Window
from django.db.models.functions import Lag

from rill_django.integrity.findings import Damage, Findings
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Event, Position, Unsequenced


def check_gap(store: DjangoEventStore, first: int, last: int, findings: Findings) -> None:
    """Note what is wrong with positions under which no event can be read.

    Args:
        first, last: the positions, both included.
    """
    there = Position.objects.using(store.using).filter(position__range=(first, last))
    found = there.aggregate(count=Count("position"), first=Min("position"))
    if found["count"]:
        event = there.order_by("position").values_list("event_id", flat=True)[0]
        findings.note(
            Damage.LOST_EVENT,
            found["first"],
            f"position {found['first']:,}: there is no event with the id {event}",
            found["count"],
        )
    holes = last - first + 1 - found["count"]
    if holes:
        hole = first
        for position in there.order_by("position").values_list("position", flat=True).iterator():
            if position != hole:
                break
            hole += 1
        findings.note(Damage.HOLE, hole, f"position {hole:,}", holes)


def check_places(store: DjangoEventStore, findings: Findings) -> None:
    """Check that every event either has a position or waits for one, and nothing else has or does."""
    # Each is one statement, which sees one state of the tables, whatever is written meanwhile.
    positions = Position.objects.using(store.using)
    waiting = Unsequenced.objects.using(store.using)
    events = Event.objects.using(store.using)
    findings.waiting += waiting.count()

    low = positions.filter(position__lt=1).aggregate(count=Count("pk"), first=Min("position"))
    if low["count"]:
        at = low["first"]
        findings.note(Damage.BELOW_ONE, at, f"position {at:,}", low["count"])

    unplaced = events.filter(
        ~Exists(Position.objects.filter(event_id=OuterRef("pk"))),
        ~Exists(Unsequenced.objects.filter(event_id=OuterRef("pk"))),
    )
    nowhere = unplaced.aggregate(count=Count("pk"), first=Min("pk"))
    if nowhere["count"]:
        event = events.only("stream", "version", "type").get(pk=nowhere["first"])
        findings.note(
            Damage.UNPLACED, event.pk, f"{event} ({event.type}), id {event.pk}", nowhere["count"]
        )

    for kind, condition in (
        (Damage.WAITING_FOR_NOTHING, ~Exists(Event.objects.filter(pk=OuterRef("event_id")))),
        (Damage.WAITING_TWICE, Exists(Position.objects.filter(event_id=OuterRef("event_id")))),
    ):
        wrong = waiting.filter(condition).aggregate(count=Count("pk"), first=Min("pk"))
        if wrong["count"]:
            findings.note(kind, wrong["first"], f"event id {wrong['first']}", wrong["count"])


def check_versions(store: DjangoEventStore, findings: Findings) -> None:
    """Check that the versions of every stream are consecutive from 0."""
    streams = (
        Event.objects.using(store.using)
        .order_by()
        .values("stream")
        .annotate(number=Count("pk"), low=Min("version"), high=Max("version"))
    )
    wrong = Q(low__gt=0) | ~Q(number=F("high") + 1)
    found = streams.aggregate(streams=Count("*"), wrong=Count("stream", filter=wrong))
    findings.streams += found["streams"]
    if found["wrong"]:
        stream = streams.filter(wrong).aggregate(first=Min("stream"))["first"]
        missing = _first_missing_version(store, stream)
        findings.note(Damage.VERSIONS, 0, f"{stream} has no version {missing}", found["wrong"])


def _first_missing_version(store: DjangoEventStore, stream: str) -> int:
    versions = Event.objects.using(store.using).filter(stream=stream).order_by("version")
    missing = 0
    for version in versions.values_list("version", flat=True).iterator():
        if version != missing:
            break
        missing += 1
    return missing


def check_order(store: DjangoEventStore, findings: Findings) -> None:
    """Check that the events of every stream are positioned in the order of their versions."""
    places = Position.objects.using(store.using).annotate(
        previous=Window(
            Lag("position"),
            partition_by=F("event__stream"),
            order_by=F("event__version").asc(),
        )
    )
    early = places.filter(position__lt=F("previous"))
    found = early.aggregate(count=Count("position"), first=Min("position"))
    if found["count"]:
        place = Position.objects.using(store.using).select_related("event").get(pk=found["first"])
        findings.note(
            Damage.ORDER,
            place.position,
            f"position {place.position:,}, {place.event}: version {place.event.version - 1} is later",
            found["count"],
        )
