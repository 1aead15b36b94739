"""What is in the database now, and where to look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.urls import reverse

from rill_django.models import Event
from rill_django.projections.registry import current_projections
from rill_django.projections.status import projection_statuses

TO_TRY = (
    ("projection_status", "where each projection stands"),
    ("rebuild_projections --verify", "whether the tables are what the log says"),
    ("rebuild_projections --no-input", "make them anew, while the site is read"),
)
"""Commands for another terminal, and what they do."""


class Line(NamedTuple):
    """A line of the table."""

    name: str
    number: int
    remark: str


def contents() -> Iterator[Line]:
    """Yield the log's size, and each projection's."""
    events = Event.objects.all()
    yield Line("events", events.count(), "in the log, each one there for good")
    yield Line("streams", events.filter(version=0).count(), "one per aggregate")
    statuses = {one.name: one for one in projection_statuses()}
    for projection in current_projections().named():
        rows = sum(
            model._base_manager.using(projection.using).count() for model in projection.models
        )
        yield Line(projection.name, rows, f"rows, {statuses[projection.name].description}")


def places(root: str) -> Iterator[tuple[str, str]]:
    """Yield what there is to see, and its URL.

    Args:
        root: URL of the server, without a slash at its end.
    """
    for title, name in (
        ("Front page", "home"),
        ("Event list", "admin:rill_django_event_changelist"),
        ("Departure board", "admin:flights_departure_changelist"),
        ("Registration", "registration:index"),
        ("Projections", "admin:rill_django_checkpoint_changelist"),
        ("API", "rill_django:root"),
    ):
        yield title, f"{root}{reverse(name)}"


def table(lines: Iterable[Line]) -> str:
    """Return the lines with their columns aligned."""
    cells = [(line.name, f"{line.number:,}", line.remark) for line in lines]
    names, numbers = (max(len(row[column]) for row in cells) for column in (0, 1))
    return "\n".join(
        f"  {name:<{names}}  {number:>{numbers}}  {remark}" for name, number, remark in cells
    )
