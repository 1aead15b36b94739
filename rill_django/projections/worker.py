"""Keeps projections up to date: reads the log once for all, applies batches, moves checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from math import inf

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from rill_django.conf import configuration
from rill_django.domain.errors import RillError
from rill_django.domain.tracebacks import shorten
from rill_django.projections.advancing import advance
from rill_django.projections.batches import Batch, read_batch
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.collecting import rare_collections
from rill_django.projections.connecting import ConnectionLost
from rill_django.projections.handlers import refuse_in_handler
from rill_django.projections.lanes import Lane
from rill_django.projections.live import is_as_asked_for
from rill_django.projections.newer_events import NewerTypes
from rill_django.projections.pace import Breaths, pause_after
from rill_django.projections.partitions import all_checkpoints
from rill_django.projections.reasons import reason_of
from rill_django.projections.registry import current_projections
from rill_django.projections.running import Progress
from rill_django.projections.upgrades import Upgrades
from rill_django.projections.waits import LONG_SECONDS, LONGEST_PAUSE_SECONDS, Wait
from rill_django.stopping import Relay, Stop
from rill_django.store.migrated import NotMigrated
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore, SequencerHeld
from rill_django.store.query_log import without_query_log
from rill_django.store.trouble import trouble_of

logger = logging.getLogger("rill_django.projections")

LOOK_EVERY_SECONDS = 1.0
"""How often the checkpoints are read when nothing happens: somebody may have mended a projection."""

WAIT_FOR_OTHERS_SECONDS = 0.01

_NO_DATABASE = (ConnectionLost, OperationalError, InterfaceError, SequencerHeld)


class ProjectionStopped(RillError, RuntimeError):
    """A projection stands still at an event that it cannot apply."""


class ProjectionWorker:
    """Brings projections up to date, and keeps them so. Several may run at once, and share the work.

    What a worker finds stopped it tries itself, since its code may be another one; and then every few
    minutes, since the cause may be gone. Trouble of the database is waited out. A projection whose version
    in the code is higher than that of its live rows is built anew beside them, and swapped in.

    Args:
        names: of the projections; default: all.
        database: only those that are kept in this database.
        store: the log; default: the project's.
        batch_size: most events applied in one transaction; default: ``RILL["BATCH_SIZE"]``.
        progress: called after every batch.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        *,
        database: str | None = None,
        store: EventStore | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        refuse_in_handler()
        settings = configuration()
        self.projections = [
            one
            for one in current_projections().named(names)
            if database is None or one.using == database
        ]
        self.store = store or DjangoEventStore()
        self.batch_size = batch_size or settings.batch_size
        self._progress = progress or (lambda name, position, head: None)
        self._stop = Relay()
        self._lanes = [
            Lane(
                projection,
                partition,
                tries=settings.handler_tries,
                batch_size=self.batch_size,
                stop=self._stop,
            )
            for projection in self.projections
            if not projection.inline
            for partition in range(projection.partitions)
        ]
        self._upgrades = Upgrades(
            self.projections, self.store, self._progress, self.batch_size, self._stop
        )
        self._breaths = Breaths()
        self._newer_types = NewerTypes(self.store)
        self._waits: dict[str, str] = {}
        self._retry_seconds = settings.retry_stopped_seconds
        self._fresh_at = -inf
        self._head_seen = -1
        self._looked_at = 0.0
        self._is_left_to_others = False

    @property
    def stopped(self) -> dict[str, str]:
        """Why a projection stands still, by its name, as far as this worker has seen it happen."""
        lanes = {lane.name: lane.gave_up for lane in self._lanes if lane.gave_up}
        return lanes | self._upgrades.stopped | self._waits

    @property
    def causes(self) -> dict[str, BaseException]:
        """What a handler has raised, or why an event could not be read, by the name of what stands still."""
        return {lane.name: lane.cause for lane in self._lanes if lane.gave_up and lane.cause}

    @rare_collections()
    @without_query_log()
    def run(self, stop: Stop, *, poll_interval: float | None = None) -> None:
        """Run until ``stop`` is set. Then what is done of a batch is committed, and the rest left.

        A lost connection is made anew, with pauses that grow.
        """
        interval = configuration().poll_interval if poll_interval is None else poll_interval
        for lane in self._lanes:
            lane.gives_others_a_turn = True
        with closing(self._upgrades), self._asking(stop):
            self._run(stop, interval)

    def _run(self, stop: Stop, interval: float) -> None:
        failures, since = 0, 0.0
        while not stop.is_set():
            try:
                worked = self.run_once()
            except (ConnectionLost, DatabaseError, InterfaceError, SequencerHeld) as error:
                if not (isinstance(error, _NO_DATABASE) or trouble_of(error)):
                    raise
                failures += 1
                since = since or time.monotonic()
                pause = pause_after(failures, longest=LONGEST_PAUSE_SECONDS)
                is_long = time.monotonic() - since > LONG_SECONDS
                level = logging.ERROR if is_long else logging.WARNING
                what = "waiting" if isinstance(error, NotMigrated) else "no database"
                logger.log(level, "%s (%s); next try in %.1f s", what, error, pause)
                self._reconnect()
                stop.wait(pause)
                continue
            failures, since = 0, 0.0
            if not worked:
                self._leave_old_connections()
                stop.wait(interval)

    @contextmanager
    def _asking(self, stop: Stop | None) -> Iterator[None]:
        before, self._stop.source = self._stop.source, stop
        try:
            yield
        finally:
            self._stop.source = before

    @rare_collections()
    @without_query_log()
    def run_until_caught_up(self, stop: Stop | None = None) -> bool:
        """Run until nothing is left to apply of what is committed, but for projections that stand still.

        One that waits for its database is left after some seconds, and named in
        `ProjectionWorker.stopped`; others may go on with it.

        Returns:
            Whether it has come to the end: ``stop`` may have been set before.

        Raises:
            SequencerHeld: committed events get no position, since somebody else is at it and does not go on.
        """
        self._head_seen = -1
        self._waits = {}
        self.store.head()  # Whoever is just giving positions is waited for: what is committed, counts.
        with closing(self._upgrades), self._asking(stop):
            while not self._stop.is_set():
                if self.run_once():
                    continue
                pauses = [due - time.monotonic() for due in self._dues()]
                if not pauses and not self._is_left_to_others:
                    return True
                waits = self._all_waits()
                is_all = len(waits) >= len(pauses)
                if waits and is_all and all(one.is_for_long for one in waits.values()):
                    self._waits = {name: one.reason for name, one in waits.items()}
                    return True
                self._stop.wait(max(min(pauses, default=WAIT_FOR_OTHERS_SECONDS), 0.0))
                self._head_seen = -1
        return False

    def _all_waits(self) -> dict[str, Wait]:
        """Return what is waited for, by what it is about."""
        lanes = {lane.name: lane.wait for lane in self._lanes if lane.due and lane.wait}
        return lanes | self._upgrades.waits()

    def _dues(self) -> list[float]:
        """Return when something is to be tried again, or gone on with."""
        return [lane.due for lane in self._lanes if lane.due] + self._upgrades.dues()

    def run_once(self) -> bool:
        """Apply one batch to every projection that has something to do; return whether any had."""
        head = self.store.sequence()
        now = time.monotonic()
        due = any(one <= now for one in self._dues())
        if head == self._head_seen and not due and now - self._looked_at < LOOK_EVERY_SECONDS:
            self._is_left_to_others = False
            return False
        self._looked_at = now
        is_fresh = self._begins_anew(now)
        checkpoints = all_checkpoints(self.projections, self.store)
        running = self._running(checkpoints, head, now)
        worked = 0
        batches: dict[int, Batch] = {}
        for lane, checkpoint in running:
            if self._stop.is_set():
                return worked > 0
            position = checkpoint.position
            if position not in batches:
                together = [one for one, at in running if at.position == position]
                batches[position] = read_batch(
                    self.store,
                    [one.projection for one in together],
                    position,
                    head,
                    max(one.pace.events for one in together),
                    unknown=self._newer_types.at(head),
                )
            self._breaths.take()
            began = time.monotonic()
            worked += advance(lane, batches[position], head, self._progress)
            if lane.is_cut:
                self._breaths.owe(lane.projection.using, time.monotonic() - began)
        # Another worker has them; or they stand still since just now.
        self._is_left_to_others = not worked and any(
            not lane.gave_up and not lane.due for lane, _ in running
        )
        if not self._stop.is_set():
            worked += self._upgrades.step(checkpoints, is_fresh=is_fresh)
        if not worked and not self._dues():
            self._head_seen = head
        return worked > 0

    def _begins_anew(self, now: float) -> bool:
        """Whether it is time to try again what stands still: at the start, and every few minutes."""
        if now < self._fresh_at + self._retry_seconds:
            return False
        self._fresh_at = now
        for lane in self._lanes:
            lane.try_once_more()
        return True

    def _running(
        self, checkpoints: Mapping[str, Sequence[Checkpoint]], head: int, now: float
    ) -> list[tuple[Lane, Checkpoint]]:
        """Return those that have something to do, with their checkpoints."""
        ready = {
            one.name for one in self.projections if is_as_asked_for(one, checkpoints[one.name])
        }
        found = []
        for lane in self._lanes:
            if lane.projection.name not in ready:
                lane.due, lane.gave_up = 0.0, ""
                continue
            checkpoint = checkpoints[lane.projection.name][lane.partition]
            is_stopped = checkpoint.state == State.STOPPED
            if is_stopped and lane.has_given_up_at(checkpoint.position):
                lane.due = 0.0
                lane.gave_up = lane.gave_up or reason_of(checkpoint.error)
                continue
            if not lane.trusts(checkpoint, self.store, head):
                continue
            lane.gave_up = ""
            if checkpoint.position >= head:
                lane.due = 0.0  # Others have done it.
                lane.wait.end()
            elif lane.due <= now:
                lane.due = 0.0
                found.append((lane, checkpoint))
        return found

    def _leave_old_connections(self) -> None:
        """Close those that have reached their ``CONN_MAX_AGE``.

        Its default of 0 means the end of a request. There is none here, and to connect anew takes longer
        than to look at the log.
        """
        for connection in connections.all(initialized_only=True):
            if connection.settings_dict["CONN_MAX_AGE"]:
                connection.close_if_unusable_or_obsolete()

    def _reconnect(self) -> None:
        self.store.reconnect()
        for using in {projection.using for projection in self.projections}:
            connections[using].close()
        for lane in self._lanes:
            lane.forget_what_is_trusted()
        self._head_seen = -1


def catch_up(*names: str) -> None:
    """Bring projections up to date now, in this process.

    Args:
        names: of the projections; none: all.

    Raises:
        ProjectionStopped: one could not be.
        SequencerHeld: committed events get no position, since somebody else is at it and does not go on.
    """
    __tracebackhide__ = True
    try:
        worker = ProjectionWorker(names)
        worker.run_until_caught_up()
        for name, error in worker.stopped.items():
            raise ProjectionStopped(f"{name} has stopped: {error}") from worker.causes.get(name)
    except Exception as error:
        shorten(error)
        raise
