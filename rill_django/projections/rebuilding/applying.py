"""Applying events to the rows beside, for as long as a transaction should last."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from rill_django.projections.batches import Batch
from rill_django.projections.handlers import making_anew
from rill_django.projections.left_out import skipped
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.sessions import Session

Read = Callable[[int], Batch]
"""Reads the next events behind a position."""


def apply_for_a_while(
    place: Place, session: Session, batch: Batch, read: Read, *, head: int, seconds: float
) -> int:
    """Apply a batch, and more behind it up to ``head`` while the time is not over; inside a transaction.

    Rows that are changed by many events are written once.

    Returns:
        The position up to which all is applied and written.
    """
    until = time.monotonic() + seconds
    with place.building():
        return apply_up_to(place, session, batch, read, head=head, until=until)


def apply_up_to(
    place: Place, session: Session, batch: Batch, read: Read, *, head: int, until: float = inf
) -> int:
    """Do the same, with the clock's time at which no more is begun, wherever the rows are now."""
    left_out = skipped(place.projection)
    with making_anew():
        session.apply(left_out.without(batch.events))
        while batch.end < head and time.monotonic() < until:
            batch = read(batch.end)
            session.apply(left_out.without(batch.events))
        session.flush()
    return batch.end
