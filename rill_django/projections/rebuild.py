"""Makes projections anew from the whole log, while readers see the old rows until the new ones are there."""

from __future__ import annotations

import logging

from django.db import connections

from rill_django.conf import configuration
from rill_django.domain.tracebacks import shorten
from rill_django.projections.collecting import rare_collections
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.errors import (
    AlreadyRebuilding,
    CannotBuildBeside,
    NewerRows,
    RebuildInterrupted,
    RowsBesideLost,
    ShareFailed,
    ShareLost,
)
from rill_django.projections.rebuilding.in_place import rebuild_in_place
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.rebuilding.together import build_together, can_be_divided
from rill_django.projections.rebuilding.verification import verify
from rill_django.projections.running import Progress
from rill_django.stopping import Stop
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore
from rill_django.store.query_log import without_query_log

logger = logging.getLogger("rill_django.projections")


@rare_collections()
@without_query_log()
def rebuild(
    projection: Projection,
    *,
    store: EventStore | None = None,
    progress: Progress | None = None,
    batch_size: int | None = None,
    workers: int = 1,
    in_place: bool = False,
    restart: bool = False,
    stop: Stop | None = None,
) -> int:
    """Make a projection's rows anew from the log.

    They are made beside the live ones, in transactions of thousands of events, and put in their place
    in one short transaction. Inside a transaction of the caller's it is done in place.

    Args:
        store: the log; default: the project's.
        progress: called after every batch.
        batch_size: most events applied in one transaction; default: at least 5,000.
        workers: number of processes that build it together; for the project's own log, on a database where
            `can_be_divided` says so. Elsewhere one does it alone.
        in_place: delete and make the live rows themselves, in one long transaction.
        restart: do not take up what an interrupted rebuild has left.
        stop: asks to stop.

    Returns:
        The position up to which the projection is built.

    Raises:
        HandlerFailed, UnreadableEvent: the old rows are still there, and the new ones removed.
        ShareFailed: the same, in one of several processes.
        CannotBuildBeside: something about the tables would be lost.
        AlreadyRebuilding: somebody else is at it.
        UnknownTypes: the log has events of its aggregates that no code knows, and that would be left out.
        RebuildInterrupted: ``stop`` was set.
    """
    __tracebackhide__ = True
    try:
        is_shared = workers > 1 and store is None and can_be_divided(projection)
        store = store or DjangoEventStore()
        place = None if in_place else place_for(projection, "beside")
        if place is None or connections[projection.using].in_atomic_block:
            return rebuild_in_place(
                projection, store, batch_size=batch_size, progress=progress, stop=stop
            )
        steps = Rebuild(
            place, store=store, batch_size=batch_size, progress=progress, restart=restart
        )
        with steps:
            if is_shared:
                build_together(steps, workers, batch_size=batch_size, progress=progress, stop=stop)
            return steps.run(stop)
    except Exception as error:
        shorten(error)
        raise


class NewVersion:
    """Builds what a projection's new version makes of the log, between other work, and swaps it in.

    Where rows cannot be built beside the live ones it is done in place, in one long step.

    Args:
        projection: whose version in the code is another than that of its live rows.
        store: the log; default: the project's.
        progress: called after every batch.
        batch_size: most events applied in one step; default: ``RILL["BATCH_SIZE"]``, since other work
            waits for a step to end.
        stop: ends a step early.
    """

    def __init__(
        self,
        projection: Projection,
        *,
        store: EventStore | None = None,
        progress: Progress | None = None,
        batch_size: int | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._stop = stop
        self.projection = projection
        self._store = store or DjangoEventStore()
        self._progress = progress
        self._batch_size = batch_size or configuration().batch_size
        self._steps: Rebuild | None = None

    @property
    def pause(self) -> float:
        """Seconds that there is nothing to do before the next step."""
        return self._steps.pause if self._steps else 0.0

    def step(self) -> bool:
        """Do a little; return whether there is more to do. Outside any transaction.

        Raises:
            HandlerFailed, UnreadableEvent: it cannot be built; nothing of it is left.
            AlreadyRebuilding: another worker builds it.
            NewerRows: somebody has swapped in those of a newer version.
        """
        if self._steps is None and not self._start():
            return False
        assert self._steps is not None
        try:
            if self._steps.step():
                return True
        except Exception as error:
            self._steps.leave(error)
            self._steps = None
            raise
        self.close()
        return False

    def _start(self) -> bool:
        """Begin beside; or do all of it in place, and return that nothing more is to do."""
        place = place_for(self.projection, "beside")
        if place is not None and not connections[self.projection.using].in_atomic_block:
            steps = Rebuild(
                place,
                store=self._store,
                batch_size=self._batch_size,
                progress=self._progress,
                only_upwards=True,
                seconds=configuration().batch_seconds,
                stop=self._stop,
            )
            try:
                steps.start()
            except CannotBuildBeside as error:
                logger.warning("%s", error)
                steps.close()
            else:
                self._steps = steps
                return True
        rebuild_in_place(self.projection, self._store, progress=self._progress, stop=self._stop)
        return False

    def close(self) -> None:
        """Leave it. On PostgreSQL another worker goes on from there."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def abandon(self) -> None:
        """Leave it, and remove what is built: nobody will want it."""
        if self._steps is not None:
            self._steps.abandon()
            self._steps = None


__all__ = [
    "AlreadyRebuilding",
    "CannotBuildBeside",
    "NewVersion",
    "NewerRows",
    "Rebuild",
    "RebuildInterrupted",
    "RowsBesideLost",
    "ShareFailed",
    "ShareLost",
    "can_be_divided",
    "rebuild",
    "verify",
]
