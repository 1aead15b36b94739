"""Which place there is on which database."""

from __future__ import annotations

from django.db import connections

from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.mysql import MySQLPlace
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.rebuilding.postgresql import PostgreSQLPlace
from rill_django.projections.rebuilding.sqlite import SQLitePlace

_PLACES: dict[str, type[Place]] = {
    "postgresql": PostgreSQLPlace,
    "sqlite": SQLitePlace,
    "mysql": MySQLPlace,
}


def place_for(projection: Projection, purpose: str) -> Place | None:
    """Return a place beside the projection's live rows, or ``None`` if its database has none."""
    place = _PLACES.get(connections[projection.using].vendor)
    # An instance of its own: a projection may remember rows between batches.
    return place(type(projection)(), purpose) if place else None
