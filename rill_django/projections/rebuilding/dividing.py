"""Rows beside that several processes build: dividing them into shares, and making one of all again."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.handlers import making_anew
from rill_django.projections.left_out import skipped
from rill_django.projections.rebuilding.bookmark import Bookmark
from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.rebuilding.shares import Shares
from rill_django.projections.trust import reasons_for_distrust, seen_at
from rill_django.projections.turns import Turn
from rill_django.store.protocol import EventStore

GATHER_SECONDS = 1.0
"""How long one transaction goes on."""


def find_left(place: Place, bookmark: Bookmark, store: EventStore) -> Sequence[Checkpoint]:
    """Return how far the shares are that were left, if one can go on with them; otherwise nothing.

    They have to be of this log. And today's code has to divide them as they were divided: an event may be
    applied in one share, and not yet in another.
    """
    left = bookmark.find()
    if not left or not place.is_as_left() or reasons_for_distrust(left, store):
        return []
    return left if place.division() == Shares(place.projection, len(left)).division else []


def divide(place: Place, bookmark: Bookmark, store: EventStore, position: int, shares: int) -> None:
    """Have so many shares, all of them built up to this position; 1: one that is all of it.

    Raises:
        RowsBesideLost: what was built is gone.
    """
    with transaction.atomic(using=place.using):
        bookmark.divide(position, shares, seen_at(store, position))
        place.note_division(Shares(place.projection, shares).division)


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
        marks = bookmark.lock_all(store)
        if not marks:
            raise RowsBesideLost(f"Somebody else has rebuilt {projection.name} meanwhile.")
        target = max(one.position for one in marks)
        number, hindmost = min(enumerate(marks), key=lambda one: one[1].position)
        if hindmost.position == target:
            divide(place, bookmark, store, target, 1)
            return target, True
        batch = Shares(projection, len(marks)).read(
            number, store, hindmost.position, target, batch_size
        )
        with place.building(), making_anew():
            session = projection.session()
            events = skipped(projection).without(batch.events)
            border = session.apply(events, Turn(GATHER_SECONDS))
            session.flush()
        if border is None:
            hindmost.move_to(batch.end, batch.seen)
        else:
            hindmost.move_to(border, seen_at(store, border))
        return hindmost.position, False
