"""Applying events to the rows beside, for as long as a transaction should last."""

from __future__ import annotations

from collections.abc import Callable

from rill_django.projections.batches import Batch
from rill_django.projections.handlers import making_anew
from rill_django.projections.left_out import skipped
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.sessions import Session
from rill_django.projections.turns import Turn

Read = Callable[[int], Batch]
"""Reads the next events behind a position."""


def apply_for_a_while(
    place: Place, session: Session, batch: Batch, read: Read | None, *, head: int, turn: Turn
) -> int:
    """Apply a batch while the turn lasts, and if it can be read more up to ``head``; in a transaction.

    Rows that are changed by many events are written once.

    Returns:
        The position up to which all is applied and written.
    """
    with place.building():
        return apply_up_to(place, session, batch, read, head=head, turn=turn)


def apply_up_to(
    place: Place, session: Session, batch: Batch, read: Read | None, *, head: int, turn: Turn
) -> int:
    """Do the same, wherever the rows are now."""
    left_out = skipped(place.projection)
    with making_anew():
        border = session.apply(left_out.without(batch.events), turn)
        while read and border is None and batch.end < head and not turn.is_over():
            batch = read(batch.end)
            border = session.apply(left_out.without(batch.events), turn)
        session.flush()
    return batch.end if border is None else border
