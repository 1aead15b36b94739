"""Compares live rows with those that the log gives, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from django.db import connections, transaction

from rill_django.conf import configuration
from rill_django.domain.records import RecordedEvent
from rill_django.domain.tracebacks import shorten
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.collecting import rare_collections
from rill_django.projections.handlers import making_anew
from rill_django.projections.inline.locks import standing_still
from rill_django.projections.left_out import skipped_or_parked
from rill_django.projections.live import live_checkpoints
from rill_django.projections.newer_events import refuse_unknown_types
from rill_django.projections.partitioning import partition_for
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.comparison import TableComparer
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.differences import Verification
from rill_django.projections.rebuilding.errors import (
    AlreadyRebuilding,
    CannotBuildBeside,
    RebuildInterrupted,
    RowsBesideLost,
)
from rill_django.projections.rebuilding.matching import matching_of
from rill_django.projections.rebuilding.places import Place
from rill_django.projections.rebuilding.progress import read_readable
from rill_django.projections.rebuilding.steps import BATCH_SIZE, STEP_SECONDS
from rill_django.projections.running import Progress
from rill_django.projections.trust import refuse_another_log
from rill_django.projections.turns import Turn
from rill_django.stopping import Stop
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore
from rill_django.store.query_log import without_query_log

FIRST_ROWS = 20


@making_anew()
@rare_collections()
@without_query_log()
def verify(
    projection: Projection,
    *,
    store: EventStore | None = None,
    progress: Progress | None = None,
    batch_size: int | None = None,
    first: int = FIRST_ROWS,
    stop: Stop | None = None,
) -> Verification:
    """Make a projection's rows anew beside the live ones, and say where these differ.

    Both are compared at the position of the live rows, in one snapshot; workers go on meanwhile. Events
    that were skipped or are parked are left out on both sides.

    Args:
        store: the log; default: the project's.
        progress: called after every batch.
        batch_size: most events applied in one transaction.
        first: so many differing rows of each kind and table are reported.
        stop: asks to stop.

    Raises:
        HandlerFailed, UnreadableEvent: an event cannot be applied.
        CannotBuildBeside: there can be no tables beside.
        AlreadyRebuilding: somebody else is verifying it.
        AnotherLog: the log is not the one that the live rows are of.
        UnknownTypes: the log has events that would be left out.
        RebuildInterrupted: ``stop`` was set.
    """
    __tracebackhide__ = True
    try:
        place = place_for(projection, "verify")
        if place is None or connections[projection.using].in_atomic_block:
            reason = (
                "Its database is one where nothing can be built beside."
                if place is None
                else "A transaction is open."
            )
            raise CannotBuildBeside(projection.name, [reason])
        size = batch_size or max(BATCH_SIZE, configuration().batch_size)
        refuse_unknown_types(projection, store or DjangoEventStore())
        with place.connected():
            if reasons := place.reasons_against():
                raise CannotBuildBeside(projection.name, reasons)
            if not place.claim():
                raise AlreadyRebuilding(f"Somebody else is verifying {projection.name}.")
            try:
                while True:
                    verifier = _Verifier(place, store or DjangoEventStore(), size, progress, stop)
                    found = verifier.verify(first)
                    if found is not None:
                        return found
            finally:
                try:
                    place.drop()
                finally:
                    place.release()
    except Exception as error:
        shorten(error)
        raise


class _Verifier:
    def __init__(
        self,
        place: Place,
        store: EventStore,
        batch_size: int,
        progress: Progress | None,
        stop: Stop | None,
    ) -> None:
        self._place = place
        self._projection = place.projection
        self._store = store
        self._batch_size = batch_size
        self._progress = progress or (lambda name, position, head: None)
        self._stop = stop
        self._position = 0
        self._session = self._projection.session(is_empty=True)
        self._left_out = skipped_or_parked(self._projection)

    def verify(self, first: int) -> Verification | None:
        """Return what was found, or ``None`` if it has to begin anew."""
        self._place.make()
        while True:
            self._build(self._target())
            with self._snapshot() as live:
                if self._left_out != skipped_or_parked(self._projection):
                    return None
                ahead = max((one.position for one in live), default=0) - self._position
                if self._lowest(live) < self._position:
                    raise RowsBesideLost(
                        f"{self._projection.name} was set back during its verification."
                    )
                # Otherwise the worker was quick: build on, outside the snapshot.
                if ahead <= self._batch_size or self._lowest(live) == self._position:
                    return self._compare(live, first)

    def _target(self) -> int:
        """Return the position that the live rows have at least."""
        live = live_checkpoints(self._projection)
        refuse_another_log(live, self._store)
        if live and self._projection.inline:
            return self._store.head()
        return self._lowest(live)

    @contextmanager
    def _snapshot(self) -> Iterator[list[Checkpoint]]:
        """Open one; give the live checkpoints with the positions of the rows in it."""
        if not self._projection.inline:
            with self._place.snapshot():
                yield live_checkpoints(self._projection)
            return
        with ExitStack() as snapshot:
            with standing_still(self._projection, self._store) as position:
                snapshot.enter_context(self._place.snapshot())
                # With the first look the snapshot is taken, and commands may go on.
                live = live_checkpoints(self._projection)
            for checkpoint in live:
                checkpoint.position = self._store.head() if position is None else position
            yield live

    @staticmethod
    def _lowest(live: Sequence[Checkpoint]) -> int:
        return min((one.position for one in live), default=0)

    def _build(self, target: int) -> None:
        while self._position < target:
            self._raise_if_stopped()
            with transaction.atomic(using=self._place.using):
                position = self._apply(self._position, target)
                with self._place.building():
                    self._session.flush()
            self._position = position
            self._progress(self._projection.name, position, target)

    def _apply(self, position: int, target: int, live: Sequence[Checkpoint] = ()) -> int:
        batch = read_readable(self._store, self._projection, position, target, self._batch_size)
        with self._place.building():
            border = self._session.apply(
                [
                    one
                    for one in self._left_out.without(batch.events)
                    if self._is_applied(one, live)
                ],
                Turn(STEP_SECONDS, self._stop),
            )
        return batch.end if border is None else border

    def _raise_if_stopped(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise RebuildInterrupted(self._projection.name, self._position, is_kept=False)

    def _is_applied(self, event: RecordedEvent, live: Sequence[Checkpoint]) -> bool:
        """Whether the live rows have the event already; partitions differ in that."""
        if len(live) < 2:
            return True
        mine = live[partition_for(self._projection, event, len(live))]
        return (event.position or 0) <= mine.position

    def _compare(self, live: Sequence[Checkpoint], first: int) -> Verification:
        """Apply what the live rows are ahead, and compare, all in one snapshot."""
        highest = max((one.position for one in live), default=0)
        position = self._position
        while position < highest:
            self._raise_if_stopped()
            position = self._apply(position, highest, live)
        with self._place.building():
            self._session.flush()
        sides = self._place.sides()
        tables = [
            TableComparer(
                self._place.connection,
                model,
                matching_of(self._projection, model, self._place.models),
                sides,
                first,
            ).compare()
            for model in self._place.models
        ]
        return Verification(self._projection.name, highest, tuple(tables))
