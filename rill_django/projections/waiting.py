"""Reading one's own writes: waiting until a projection has applied what a command has stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections

from rill_django.domain.errors import RillError
from rill_django.domain.records import RecordedEvent
from rill_django.domain.results import Ok
from rill_django.domain.tracebacks import shorten
from rill_django.projections.projection import OnError, Projection
from rill_django.projections.registry import current_projections

if TYPE_CHECKING:
    from rill_django.projections.checkpoint import Checkpoint
    from rill_django.store.orm import DjangoEventStore

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25
"""Seconds between two looks: each pause is half as long again as the one before."""


EVENTS_PER_STATEMENT = 5_000


class NotCaughtUp(RillError, TimeoutError):
    """A projection has not applied an event within the time given. It may do so any moment."""


class NotCommitted(RillError, RuntimeError):
    """The events cannot be seen by a worker: their transaction is open still, or was rolled back."""


def wait_for(
    projection: str | type[Projection] | Projection, result: Ok[Any], *, timeout: float = 5.0
) -> None:
    """Return when the projection has applied the events of a result.

    ::

        result = Account.deposit.transact("12345678", amount=20)
        wait_for(Balances, result, timeout=2)

    Returns at once if the result has no events. A worker has to run somewhere; this only watches, by one
    tiny query every 5 to 250 ms. It returns at once for an inline projection that is built: the command
    itself has applied its events, also inside a transaction.

    Args:
        projection: its class or its name. All partitions of it are waited for.
        result: what ``transact`` or ``commit`` returned.
        timeout: seconds.

    Raises:
        NotCaughtUp: a ``TimeoutError``; the projection was not that far in time.
        ProjectionStopped: it stands still before the event, or has parked it; or it has seen another log.
        NotCommitted: it is called inside a transaction, or the events are not in the log.
        UnknownProjection: there is none of that name.
        TypeError: the result is no `Ok`.
    """
    __tracebackhide__ = True
    if not isinstance(result, Ok):
        raise TypeError(f"wait_for takes a result that is Ok, as it has events; got {result!r}")
    if not result.events:
        return
    from rill_django.store.orm import DjangoEventStore  # Its tables can be made only late.

    name = projection if isinstance(projection, str) else projection.name
    (watched,) = current_projections().named([name])
    store = DjangoEventStore()
    if watched.inline and _are_kept_by_commands(watched):
        return
    _refuse_open_transactions(name, {store.using, watched.using})
    try:
        _Watch(watched, store, result.events).until(time.monotonic() + timeout, timeout)
    except Exception as error:
        shorten(error)
        raise


class _Watch:
    """One projection, and events of one stream that it is to apply."""

    def __init__(
        self, projection: Projection, store: DjangoEventStore, events: Sequence[RecordedEvent]
    ) -> None:
        self._projection = projection
        self._store = store
        self._events = events
        self._last = events[-1]
        self._position: int | None = None
        """The last event's: it gets one only after its commit, from whoever reads the log next."""

    def until(self, deadline: float, timeout: float) -> None:
        """Return when the event is applied, or raise."""
        pause = FIRST_PAUSE
        while True:
            self._look_up_position()
            checkpoints = self._checkpoints()
            if self._is_passed(checkpoints):
                self._refuse_another_log(checkpoints)
                self._refuse_parked()
                return
            self._refuse_stopped(checkpoints)
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotCaughtUp(self._what_is_missing(checkpoints, timeout))
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _look_up_position(self) -> None:
        if self._position is not None:
            return
        reader = self._store.read().stream(self._last.stream).from_version(self._last.version)
        found = next(iter(reader.limit(1).stored()), None)
        if found is None:
            raise NotCommitted(
                f"{self._last.identity} is not in the log: its transaction was rolled back, or "
                "it was stored somewhere else (memory_runtime?)."
            )
        self._position = found.position

    def _checkpoints(self) -> list[Checkpoint]:
        from rill_django.projections.checkpoint import Checkpoint

        rows = Checkpoint.objects.using(self._projection.using)
        fields = ("name", "position", "seen", "state", "partitions", "failed_event")
        return list(rows.filter(name=self._projection.name, is_beside=False).only(*fields))

    def _is_passed(self, checkpoints: list[Checkpoint]) -> bool:
        position = self._position
        if position is None or not checkpoints:
            return False
        if self._projection.inline:
            return _are_kept_by_commands(self._projection)
        is_complete = len(checkpoints) >= max(one.partitions for one in checkpoints)
        return is_complete and all(one.position >= position for one in checkpoints)

    def _refuse_stopped(self, checkpoints: list[Checkpoint]) -> None:
        from rill_django.projections.checkpoint import State
        from rill_django.projections.worker import ProjectionStopped

        for one in checkpoints:
            is_before = self._position is None or one.position < self._position
            if one.state == State.STOPPED and is_before:
                raise ProjectionStopped(
                    f"{self._projection.name} has stopped at {one.failed_event or 'an event'}, and "
                    f"does not come to {self._last.identity} before that is mended."
                )

    def _refuse_another_log(self, checkpoints: list[Checkpoint]) -> None:
        """What is ahead of a log that was restored has not passed what is new in it."""
        from rill_django.projections.trust import reasons_for_distrust
        from rill_django.projections.worker import ProjectionStopped

        for reason in reasons_for_distrust(checkpoints, self._store).values():
            raise ProjectionStopped(reason)

    def _refuse_parked(self) -> None:
        if self._projection.on_error is not OnError.PARK:
            return
        from rill_django.projections.held import ParkedEvent
        from rill_django.projections.worker import ProjectionStopped

        identities = [event.identity for event in self._events]
        parked = ParkedEvent.objects.using(self._projection.using).filter(
            projection=self._projection.name
        )
        # Some at a time: a statement cannot name all events of a large commit.
        for start in range(0, len(identities), EVENTS_PER_STATEMENT):
            some = parked.filter(event__in=identities[start : start + EVENTS_PER_STATEMENT])
            first = some.order_by("position").values_list("event", flat=True).first()
            if first is None:
                continue
            raise ProjectionStopped(
                f"{self._projection.name} has parked {first}: its handler failed on it, or on an "
                "earlier event of the same key."
            )

    def _what_is_missing(self, checkpoints: list[Checkpoint], timeout: float) -> str:
        place = "which has no position yet" if self._position is None else f"at {self._position:,}"
        reached = min((one.position for one in checkpoints), default=0)
        where = f"it is at {reached:,}" if checkpoints else "no worker has ever run it"
        if self._projection.inline:
            where = "its rows are not built yet"
        return (
            f"{self._projection.name} has not applied {self._last.identity}, {place}, "
            f"within {timeout:g} s: {where}. Does `manage.py run_projections` run, and is it busy?"
        )


def _are_kept_by_commands(projection: Projection) -> bool:
    from rill_django.projections.inline.checkpoints import are_kept_by_commands

    return are_kept_by_commands(projection)


def _refuse_open_transactions(name: str, aliases: set[str]) -> None:
    from rill_django.store.orm import inside_callers_transaction

    for alias in aliases:
        if inside_callers_transaction(connections[alias]):
            raise NotCommitted(
                f"Waiting for {name} inside a transaction could last forever: what this transaction "
                "has stored is seen by nobody before its end. Wait behind `with transaction.atomic()`; "
                "a view under ATOMIC_REQUESTS needs @transaction.non_atomic_requests."
            )
