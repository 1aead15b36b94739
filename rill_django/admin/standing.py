"""What the page of a projection shows: where it stands, and which events it has not applied."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Case, Value, When

from rill_django.admin.held import event_urls, skipped_by
from rill_django.admin.links import Links
from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections.checkpoint import State
from rill_django.projections.projection import OnError, Projection
from rill_django.projections.reasons import reason_of
from rill_django.projections.status import ProjectionStatus

MOST_SHOWN = 50


class Stopped(NamedTuple):
    """A part that stands still, and why.

    Attributes:
        piece: the part.
        url: of the event that it stands still at; empty: nobody has looked for it, or it is not there.
    """

    piece: ProjectionStatus
    url: str = ""

    @property
    def reason(self) -> str:
        """The line of its error that says what happened."""
        return self.piece.reason


class Standing(NamedTuple):
    """Where a projection stands, and whether anything is to be mended."""

    status: ProjectionStatus

    @property
    def stopped(self) -> list[Stopped]:
        """Its parts that stand still."""
        return [Stopped(piece) for piece in self.status.pieces if piece.state is State.STOPPED]

    @property
    def waiting(self) -> list[ProjectionStatus]:
        """Its parts that wait until the database can do what it is asked."""
        return [piece for piece in self.status.pieces if piece.is_waiting]

    @property
    def needs_retry(self) -> bool:
        """Whether a retry has anything to do."""
        return bool(self.stopped or self.status.parked)


class Parked(NamedTuple):
    """A parked event, its address, and the line of its error that says what happened."""

    row: ParkedEvent
    url: str
    reason: str


class Skipped(NamedTuple):
    """A skipped event, likewise, and who skipped it; empty: not in the admin."""

    row: SkippedEvent
    url: str
    reason: str
    by: str


class Page:
    """What a projection has not applied, and why; `MOST_SHOWN` parked and skipped events each.

    Args:
        projection: that is shown.
        standing: where it stands.
        links: where the page leads to. An event that is not in the log has no address.
    """

    def __init__(self, projection: Projection, standing: Standing, links: Links) -> None:
        using, name = projection.using, projection.name
        self.is_parking = projection.on_error is OnError.PARK
        parked = ParkedEvent.objects.using(using).filter(projection=name)
        skipped = SkippedEvent.objects.using(using).filter(projection=name)
        self.number_parked = parked.count()
        self.number_skipped = skipped.count()
        is_behind = Case(When(error="", then=Value(1)), default=Value(0))
        waiting = list(parked.order_by(is_behind, "position")[:MOST_SHOWN])
        left_out = list(skipped.order_by("-skipped_at", "-pk")[:MOST_SHOWN])
        events = {one.piece.failed_event for one in standing.stopped}
        events |= {row.event for row in waiting} | {row.event for row in left_out}
        urls = event_urls(events, links)
        by = skipped_by(left_out)
        self.stopped = [
            one._replace(url=urls.get(one.piece.failed_event, "")) for one in standing.stopped
        ]
        self.parked = [
            Parked(row, urls.get(row.event, ""), reason_of(row.error)) for row in waiting
        ]
        """Those that failed first, then those that wait behind them."""
        self.skipped = [
            Skipped(row, urls.get(row.event, ""), reason_of(row.error), by.get(row.pk, ""))
            for row in left_out
        ]
        """The latest first."""


def error_of_waiting(projection: Projection, event: str) -> str | None:
    """Return the error of an event that the projection stands still at, waits at or has parked, or ``None``.

    It is empty for one that was not tried, since it waits behind another.
    """
    if not event or "\0" in event:  # Which PostgreSQL cannot be asked for.
        return None
    using, name = projection.using, projection.name
    parked = ParkedEvent.objects.using(using).filter(projection=name, event=event)
    stopped = Checkpoint.objects.using(using).filter(name=name, failed_event=event)
    for errors in (parked.order_by("position"), stopped):
        found: str | None = errors.values_list("error", flat=True).first()
        if found is not None:
            return found
    return None
