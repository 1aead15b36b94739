"""Events that the rows beside had to do without: parked there, and after the swap like any other."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from rill_django.conf import configuration
from rill_django.domain.records import RecordedEvent
from rill_django.projections.held import ParkedEvent
from rill_django.projections.observing import Outcome, observe_failure
from rill_django.projections.partitioning import partition_of
from rill_django.projections.projection import HandlerFailed, OnError, Projection
from rill_django.projections.sessions import Session

_BESIDE = " (beside)"


class ParkingBeside:
    """Parks for a rebuild of a projection with ``on_error = PARK``; for others it does nothing.

    Until the swap the parked events are under a name of their own, since those of the live rows are others.

    Args:
        projection: whose rows are built.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._is_on = projection.on_error is OnError.PARK
        self._failures: Counter[str] = Counter()

    def _parked(self, suffix: str = _BESIDE) -> QuerySet[ParkedEvent]:
        rows: QuerySet[ParkedEvent] = ParkedEvent.objects.using(self._projection.using)
        found: QuerySet[ParkedEvent] = rows.filter(projection=f"{self._projection.name}{suffix}")
        return found

    def session(self, inner: Session) -> Session:
        """Return a session that applies only what no parked event of the same key is before."""
        return _Parking(inner, self) if self._is_on else inner

    def free(self, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
        """Park the events whose key has one waiting from before, in this transaction; return the others."""
        waiting: dict[str, int] = {}
        parked = set()
        for position, keys in self._parked().order_by("position").values_list("position", "keys"):
            parked.add(position)
            for key in keys:
                waiting.setdefault(key, position)
        if not parked:
            return list(events)
        free = []
        for event in events:
            position = event.position or 0
            keys = self._projection.keys_of(event)
            if position in parked:
                continue
            if any(waiting.get(key, position) < position for key in keys):
                self._park(event, "")
                parked.add(position)
                for key in keys:
                    waiting.setdefault(key, position)
            else:
                free.append(event)
        return free

    def park(self, error: HandlerFailed) -> bool:
        """Note that an event has failed; return whether it can be gone on without it, or tried again."""
        if not self._is_on or isinstance(error.__cause__, (OperationalError, InterfaceError)):
            return False  # A lost connection says nothing against the event.
        event = error.event
        self._failures[event.identity] += 1
        if self._failures[event.identity] < configuration().handler_tries:
            return True
        with transaction.atomic(using=self._projection.using):
            self._park(event, "".join(traceback.format_exception(error)))
        observe_failure(
            f"{self._projection.name}{_BESIDE}", event.identity, error, outcome=Outcome.PARKED
        )
        return True

    def _park(self, event: RecordedEvent, error: str) -> None:
        self._parked().create(
            projection=f"{self._projection.name}{_BESIDE}",
            position=event.position or 0,
            event=event.identity,
            keys=sorted(self._projection.keys_of(event)),
            error=error,
        )

    def swap(self, position: int) -> None:
        """Have them be those of the live rows, up to this position; in the transaction of the swap."""
        self._parked("").filter(position__lte=position).delete()
        for one in self._parked():
            one.projection = self._projection.name
            key = one.keys[0] if one.keys else ""
            one.partition = partition_of(key, max(self._projection.partitions, 1))
            one.save(update_fields=("projection", "partition"))

    def remove(self) -> None:
        """Forget them: the rows beside are made anew, or not at all."""
        self._parked().delete()


class _Parking(Session):
    def __init__(self, inner: Session, parking: ParkingBeside) -> None:
        self._inner = inner
        self._parking = parking

    def apply(self, events: Iterable[RecordedEvent]) -> None:
        """See `Session.apply`."""
        self._inner.apply(self._parking.free(events))

    def flush(self) -> None:
        """See `Session.flush`."""
        self._inner.flush()
