"""Checks of where events are: positions, queue, versions. Each asks the database few questions."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import connections
from django.db.models import BigIntegerField, Count, Exists, F, Min, OuterRef, Q, Value, Window
from django.db.models.functions import Cast, Concat, Lag, Length, Substr

from rill_django.integrity.findings import EXAMPLES, Damage, Findings
from rill_django.integrity.reading import read
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import Event, Position, StoredType, Unsequenced

UNREADABLE = "that cannot be read"


def check_gap(store: DjangoEventStore, first: int, last: int, findings: Findings) -> None:
    """Note what is wrong with positions under which no event can be read.

    Args:
        first, last: the positions, both included.
    """
    there = Position.objects.using(store.using).filter(position__range=(first, last))
    found = there.aggregate(count=Count("position"), first=Min("position"))
    if found["count"]:
        ids = there.order_by("position").values_list("event_id", flat=True)
        event = read(lambda: ids[0], UNREADABLE, store)
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
        first = events.filter(pk=nowhere["first"]).values_list("stream", "version", "type").first()
        stream, version, type = first or ("?", "?", "?")
        what = f"{stream}@{version} ({type}), id {nowhere['first']}"
        findings.note(Damage.UNPLACED, 0, what, nowhere["count"])

    for kind, condition in (
        (Damage.WAITING_FOR_NOTHING, ~Exists(Event.objects.filter(pk=OuterRef("event_id")))),
        (Damage.WAITING_TWICE, Exists(Position.objects.filter(event_id=OuterRef("event_id")))),
    ):
        wrong = waiting.filter(condition)
        count = wrong.count()
        if count:
            ids = wrong.order_by("pk").values_list("pk", flat=True)
            first = read(lambda ids=ids: ids[0], UNREADABLE, store)  # type: ignore[misc]
            findings.note(kind, 0, f"event id {first}", count)


def check_doubles(store: DjangoEventStore, findings: Findings) -> None:
    """Check that no position and no event is there twice, which only a lost constraint allows."""
    for name, what in (("position", "position"), ("event_id", "event id")):
        twice = (
            Position.objects.using(store.using)
            .order_by()
            .values(name)
            .annotate(number=Count("*"))
            .filter(number__gt=1)
        )
        count = twice.count()
        for row in twice.order_by(name)[:EXAMPLES] if count else ():
            found = f"{what} {row[name]} is there {row['number']:,} times"
            findings.note(Damage.DOUBLE, 0, found, 0)
        if count:
            findings.damage[Damage.DOUBLE].count += count


def check_versions(store: DjangoEventStore, findings: Findings) -> None:
    """Check that the versions of every stream are consecutive from 0, each once."""
    previous = Window(Lag("version"), partition_by=F("stream"), order_by=F("version").asc())
    events = Event.objects.using(store.using).order_by().annotate(previous=previous)
    if store_is_strict(store):  # Else the next after the largest would be out of range.
        following = Cast(F("previous"), BigIntegerField()) + 1
    else:
        following = F("previous") + 1
    wrong = (Q(previous__isnull=True) & ~Q(version=0)) | (
        Q(previous__isnull=False) & ~Q(version=following)
    )
    found = events.aggregate(
        streams=Count("pk", filter=Q(previous__isnull=True)), wrong=Count("pk", filter=wrong)
    )
    findings.streams += found["streams"]
    if not found["wrong"]:
        return
    examples = events.filter(wrong).order_by("stream", "version")
    told = examples.values_list("stream", "version", "previous")[:EXAMPLES]
    for stream, version, before in read(partial(list, told), [(UNREADABLE, "?", None)], store):
        findings.note(Damage.VERSIONS, 0, _fault_of_version(stream, version, before), 0)
    findings.damage[Damage.VERSIONS].count += found["wrong"]


def store_is_strict(store: DjangoEventStore) -> bool:
    """Whether the database keeps columns to their types; SQLite does not."""
    return connections[store.using].vendor != "sqlite"


def _fault_of_version(stream: Any, version: Any, before: Any) -> str:
    if type(version) is not int or type(before) not in (int, type(None)):
        return f"{stream} has a version {repr(version)[:100]} behind {repr(before)[:100]}"
    if version == before:
        return f"{stream} has version {version} twice"
    missing = 0 if before is None else before + 1
    if version < missing:
        return f"{stream} has a version {version}"
    return f"{stream} has no version {missing}"


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
        position = found["first"]
        place = Position.objects.using(store.using).filter(pk=position)
        told = place.values_list("event__stream", "event__version")
        ((stream, version),) = read(partial(list, told), [(UNREADABLE, "?")], store)
        what = f"position {position:,}, {stream}@{version}: an earlier version is behind it"
        findings.note(Damage.ORDER, position, what, found["count"])


def check_stored_types(store: DjangoEventStore, findings: Findings) -> None:
    """Check that the first event of every stored type is there."""
    first = Event.objects.filter(
        stream=OuterRef("stream"), version=OuterRef("version"), type=OuterRef("type")
    )
    types = StoredType.objects.using(store.using).annotate(
        beginning=Substr("stream", 1, Length("category") + 1),
        expected=Concat("category", Value("/")),
    )
    wrong = types.filter(~Exists(first) | ~Q(beginning=F("expected"))).order_by("pk")
    keys = list(wrong.values_list("pk", flat=True)[:EXAMPLES])
    for key in keys:
        row = wrong.filter(pk=key).values_list("category", "type", "stream", "version")
        what = read(lambda row=row: "{}, {}: {}@{}".format(*row[0]), UNREADABLE, store)  # type: ignore[misc]
        findings.note(Damage.STORED_TYPE, 0, f"id {key}: {what}", 0)
    if keys:
        findings.damage[Damage.STORED_TYPE].count += wrong.count()
