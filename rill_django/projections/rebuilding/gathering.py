"""Bringing the shares of a rebuild to one position, so that one process can go on alone."""

from __future__ import annotations

from django.db import transaction

from rill_django.projections.rebuilding.bookmark import Bookmark
from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.rebuilding.progress import (
    read_readable,
    skipped_positions,
    without,
)
from rill_django.projections.rebuilding.shares import Shares
from rill_django.store.protocol import EventStore


def gather(place: Place, bookmark: Bookmark, store: EventStore, batch_size: int) -> int:
    """Apply to every share what the foremost one is ahead of it, and make one of them all.

    In transactions of at most ``batch_size`` events, each of which may be the last.

    Returns:
        The position up to which all is applied and written.

    Raises:
        RowsBesideLost: what was built is gone.
    """
    while True:
        position, is_done = _gather_some(place, bookmark, store, batch_size)
        if is_done:
            return position


def _gather_some(
    place: Place, bookmark: Bookmark, store: EventStore, batch_size: int
) -> tuple[int, bool]:
    projection = place.projection
    with transaction.atomic(using=place.using):
        marks = bookmark.lock_all()
        if not marks:
            raise RowsBesideLost(f"Somebody else has rebuilt {projection.name} meanwhile.")
        position = min(one.position for one in marks)
        target = max(one.position for one in marks)
        if position == target:
            bookmark.divide(target, 1)
            return target, True
        shares = Shares(projection, len(marks))
        reached = [one.position for one in marks]
        batch = read_readable(store, projection, position, target, batch_size)
        missing = [
            event
            for event in without(batch.events, skipped_positions(projection))
            if (event.position or 0) > reached[shares.number_of(event)]
        ]
        with place.building():
            session = projection.session()
            session.apply(missing)
            session.flush()
        for mark in marks:
            if mark.position < batch.end:
                mark.move_to(batch.end)
        return batch.end, False
