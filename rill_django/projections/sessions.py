"""Projections at work over several batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rill_django.domain.records import RecordedEvent
from rill_django.projections.handlers import handlers_at_work
from rill_django.projections.turns import Together, Turn

if TYPE_CHECKING:
    from rill_django.projections.projection import Projection

ROWS_IN_MEMORY = 50_000
"""Most rows that a session keeps in memory between batches, unless told otherwise."""


class Session(ABC):
    """A projection at work over several batches, with what it keeps in memory between them.

    For whoever reads the log (worker, rebuild)::

        session = projection.session()
        for batch in batches:
            with transaction.atomic(using=projection.using):
                …  # lock the checkpoint; see below
                border = session.apply(batch.events, Turn(0.25, stop))
                session.flush()
                if border is not None:
                    batch = batch.up_to(border)
                checkpoint.move_to(batch.end, batch.seen)

    - ``apply`` may be called any number of times before a ``flush``; that is faster the more events there
      are between two. All must happen in the transaction that moves the checkpoint: ``apply`` may write
      some of the rows itself, and nothing is complete before ``flush``.
    - After the commit the session may go on in the next transaction, with the rows that it has in
      memory, if the checkpoint is still where the session left it. If not, another worker has changed
      rows: begin a new session. The same after a rebuild has been swapped in.
    - After an error or a rollback the session is of no use: begin a new one.
    - Reads and writes go through the connection ``projection.using``, to tables named without schema:
      whatever ``search_path`` or temporary tables are in force must stay so during a session.
    """

    @abstractmethod
    def apply(self, events: Iterable[RecordedEvent], turn: Turn | None = None) -> int | None:
        """Apply the next events of the log; all of them, or as many as there is time for.

        Args:
            events: in their order.
            turn: how long to go on; default: to the end. At least one event is applied, and those of one
                position are applied together.

        Returns:
            ``None`` if all are applied. Otherwise the position of the last one that is.

        Raises:
            HandlerFailed: a handler or key function raised an exception. Errors of the database come
                as they are, and may be due to any event since the last ``flush``.
        """

    @abstractmethod
    def flush(self) -> None:
        """Write all that is not written yet."""


class DirectSession(Session):
    """Of a projection that keeps nothing in memory."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._together = Together()

    def apply(self, events: Iterable[RecordedEvent], turn: Turn | None = None) -> int | None:
        """See `Session.apply`. Methods for several events at once get some at a time."""
        events = list(events)
        turn = turn or Turn()
        with handlers_at_work(self._projection):  # Somebody may have an `apply` of their own.
            if self._projection.applies_one_by_one:
                return self._projection.apply_within(events, turn)
            done = 0
            for portion in self._together.portions(events, turn):
                self._projection.apply(portion)
                done += len(portion)
        return events[done - 1].position if done < len(events) else None

    def flush(self) -> None:
        """See `Session.flush`: nothing is left to write."""
