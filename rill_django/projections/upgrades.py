"""What live rows need before the lanes of the code can go on with them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.division import Division
from rill_django.projections.live import needs_division
from rill_django.projections.projection import Projection
from rill_django.projections.renewal import Renewal
from rill_django.projections.running import Progress
from rill_django.projections.waits import Wait
from rill_django.stopping import Stop
from rill_django.store.protocol import EventStore

logger = logging.getLogger("rill_django.projections")

TURN_SECONDS = 1.0
"""How long partitions are left to a worker that has made others than this one's code asks for."""


class Upgrades:
    """Builds rows of a raised version, and makes other partitions, a step at a time between other work.

    Args:
        projections: those that a worker keeps up to date.
        store: the log.
        progress: called after every batch.
        batch_size: most events applied in one step.
        stop: ends a step early.
    """

    def __init__(
        self,
        projections: Sequence[Projection],
        store: EventStore,
        progress: Progress,
        batch_size: int,
        stop: Stop | None = None,
    ) -> None:
        self._stop = stop
        self._projections = projections
        self._store = store
        self._progress = progress
        self._batch_size = batch_size
        self._renewals: dict[str, Renewal] = {}
        self._divisions: dict[str, Division] = {}
        self._divided: set[str] = set()
        self._newer: set[str] = set()

    @property
    def stopped(self) -> dict[str, str]:
        """Why one cannot be done, by what it is about."""
        found = {
            f"{name}, version {one.projection.version}": one.gave_up
            for name, one in self._renewals.items()
            if one.gave_up
        }
        for division in self._divisions.values():
            found |= division.stopped
        return found

    def dues(self) -> list[float]:
        """Return when they are to be gone on with, by the monotonic clock."""
        renewals = [one.due for one in self._renewals.values() if not one.gave_up]
        return renewals + [one.due for one in self._divisions.values() if not one.stopped]

    def waits(self) -> dict[str, Wait]:
        """Return what the database keeps waiting, by what it is about."""
        found = {
            f"{name}, version {one.projection.version}": one.wait
            for name, one in self._renewals.items()
            if one.wait
        }
        for division in self._divisions.values():
            found |= division.waits
        return found

    def step(self, live: Mapping[str, Sequence[Checkpoint]], *, is_fresh: bool) -> int:
        """Take a step with every projection that needs one; return how many did.

        Args:
            live: the live checkpoints, by projection.
            is_fresh: it is time to try again what is found stopped.
        """
        return sum(
            self._renew(one, live[one.name][0].version, is_fresh=is_fresh)
            or self._divide(one, live[one.name], is_fresh=is_fresh)
            for one in self._projections
        )

    def close(self) -> None:
        """Leave them, for another worker or a later time to go on."""
        for renewal in self._renewals.values():
            renewal.close()

    def _renew(self, projection: Projection, built: int, *, is_fresh: bool) -> bool:
        name = projection.name
        if built >= projection.version:
            renewal = self._renewals.pop(name, None)
            if renewal is not None:
                renewal.abandon()
            self._warn_of_newer_rows(projection, built)
            return False
        if name not in self._renewals:
            renewal = Renewal(projection, self._store, self._progress, self._batch_size, self._stop)
            self._renewals[name] = renewal
            is_to_look = not is_fresh
        else:
            renewal = self._renewals[name]
            is_to_look = bool(renewal.gave_up)
            if is_fresh and is_to_look:
                renewal.try_once_more()
                is_to_look = False
        if is_to_look:
            renewal.look_whether_given_up()
        return renewal.step()

    def _warn_of_newer_rows(self, projection: Projection, built: int) -> None:
        if built == projection.version or projection.name in self._newer:
            return
        self._newer.add(projection.name)
        logger.warning(
            "projection %s: its rows are of version %d, and this code has version %d. They are left to "
            "workers of the newer release; if there is none, run rebuild_projections %s",
            projection.name,
            built,
            projection.version,
            projection.name,
        )

    def _divide(
        self, projection: Projection, live: Sequence[Checkpoint], *, is_fresh: bool
    ) -> bool:
        name = projection.name
        if not needs_division(projection, live):
            if live[0].version == projection.version:
                self._divided.add(name)
            self._divisions.pop(name, None)
            return False
        if name not in self._divisions:
            self._divisions[name] = Division(projection, self._store, self._progress, self._stop)
            if name in self._divided:
                # A worker of another release is at it as well. If both did it at once, again and again,
                # nobody would apply any events.
                self._divisions[name].due = time.monotonic() + TURN_SECONDS
            self._divided.add(name)
        division = self._divisions[name]
        has_worked = division.step(live, is_fresh=is_fresh)
        if division.is_done:
            del self._divisions[name]
        return has_worked
