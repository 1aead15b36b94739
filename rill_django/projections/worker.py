"""Keeps projections up to date: reads the log, applies batches, moves checkpoints."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from django.db import close_old_connections, connections, transaction

from rill_django.conf import configuration
from rill_django.domain.codec import decode_events
from rill_django.domain.errors import RillError, UnreadableEvent
from rill_django.domain.records import RecordedEvent
from rill_django.domain.registry import Registry, current_registry
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.projection import HandlerFailed, Projection
from rill_django.projections.registry import current_projections
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore

logger = logging.getLogger("rill_django.projections")

Progress = Callable[[str, int, int], object]
"""Told a projection's name, its position, and the log's head."""


class Stop(Protocol):
    """Says when to stop; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Whether to stop now."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be told, at most so many seconds; return whether to stop now."""


class ProjectionStopped(RillError, RuntimeError):
    """A projection stands still at an event that it cannot apply."""


class Batch(NamedTuple):
    """A stretch of the log: the events in it that are of interest, and where it ends."""

    start: int
    events: Sequence[RecordedEvent]
    end: int


class ProjectionWorker:
    """Brings projections up to date, and keeps them so.

    Args:
        names: of the projections; default: all.
        store: the log; default: the project's.
        batch_size: most events applied in one transaction; default: ``RILL["BATCH_SIZE"]``.
        progress: called after every batch.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        store: EventStore | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.projections = current_projections().named(names)
        self.store = store or DjangoEventStore()
        self.batch_size = batch_size or configuration().batch_size
        self._progress = progress or (lambda name, position, head: None)
        self.stopped: dict[str, str] = {}
        """Why a projection stands still, by its name. A new worker tries again."""

    def run(self, stop: Stop, *, poll_interval: float | None = None) -> None:
        """Run until ``stop`` is set; a batch that has begun is finished."""
        interval = configuration().poll_interval if poll_interval is None else poll_interval
        while not stop.is_set():
            if not self.run_once():
                close_old_connections()
                stop.wait(interval)

    def run_until_caught_up(self, stop: Stop | None = None) -> None:
        """Run until nothing is left to apply, but for projections that stand still."""
        while not (stop and stop.is_set()) and self.run_once():
            pass

    def run_once(self) -> bool:
        """Apply one batch to every projection that has something to do; return whether any had."""
        running = [one for one in self.projections if one.name not in self.stopped]
        head = self.store.head() if running else 0
        positions = {one.name: checkpoint_of(one).position for one in running}
        batches: dict[int, Batch] = {}
        worked = False
        for projection in running:
            position = positions[projection.name]
            if position >= head:
                continue
            try:
                if position not in batches:
                    together = [one for one in running if positions[one.name] == position]
                    batches[position] = read_batch(
                        self.store, together, position, head, self.batch_size
                    )
                worked = self._apply(projection, batches[position]) or worked
            except (HandlerFailed, UnreadableEvent) as error:
                self._stop(projection, error)
            else:
                self._progress(projection.name, batches[position].end, head)
        return worked

    def _apply(self, projection: Projection, batch: Batch) -> bool:
        started = time.monotonic()
        with transaction.atomic(using=projection.using):
            checkpoint = (
                Checkpoint.objects.using(projection.using)
                .select_for_update(skip_locked=_can_skip_locked(projection.using))
                .filter(name=projection.name, position=batch.start)
                .first()
            )
            if checkpoint is None:
                return False  # Another worker is at it.
            projection.apply(batch.events)
            checkpoint.move_to(batch.end)
        logger.debug(
            "projection %s is at %d: %d events in %.1f ms",
            projection.name,
            batch.end,
            len(batch.events),
            1000 * (time.monotonic() - started),
        )
        return True

    def _stop(self, projection: Projection, error: HandlerFailed | UnreadableEvent) -> None:
        failed = error.event if isinstance(error, HandlerFailed) else error
        self.stopped[projection.name] = str(error)
        logger.error("projection %s has stopped: %s", projection.name, error, exc_info=error)
        with transaction.atomic(using=projection.using):
            checkpoint_of(projection).stop(
                failed.identity, "".join(traceback.format_exception(error))
            )


def read_batch(
    store: EventStore, projections: Sequence[Projection], position: int, head: int, size: int
) -> Batch:
    """Read the next events behind ``position`` that any of the projections has a handler for.

    Raises:
        UnreadableEvent: one does not fit today's code.
    """
    reader = store.read().after(position).limit(size)
    types = stored_types(projections, current_registry())
    if types is not None:
        reader = reader.of_type(*types)
    stored = list(reader.stored())
    events = list(decode_events(stored, current_registry()))
    last = (stored[-1].position or 0) if stored else 0
    # A batch that is not full has seen all there is: behind its last event nothing is wanted, up to
    # the head that was known before.
    return Batch(position, events, last if len(stored) == size else max(last, head))


def checkpoint_of(projection: Projection) -> Checkpoint:
    """Return the projection's checkpoint, made if there is none."""
    checkpoint: Checkpoint
    checkpoint, _ = Checkpoint.objects.using(projection.using).get_or_create(
        name=projection.name, defaults={"version": projection.version}
    )
    return checkpoint


def stored_types(projections: Sequence[Projection], registry: Registry) -> frozenset[str] | None:
    """Return the type names that may be stored for the events wanted; ``None``: any."""
    wanted = {type for projection in projections for type in projection.handlers}
    for upcaster in registry.upcasters:
        if not upcaster.types:
            return None
        wanted |= upcaster.types
    return frozenset(wanted)


def _can_skip_locked(using: str) -> bool:
    return connections[using].features.has_select_for_update_skip_locked


def catch_up(*names: str) -> None:
    """Bring projections up to date now, in this process.

    Args:
        names: of the projections; none: all.

    Raises:
        ProjectionStopped: one could not be.
    """
    worker = ProjectionWorker(names)
    worker.run_until_caught_up()
    for name, error in worker.stopped.items():
        raise ProjectionStopped(f"{name} has stopped: {error}")
