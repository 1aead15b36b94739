"""Events that the rows beside had to do without: parked there, and after the swap like any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rill_django.conf import configuration
from rill_django.domain.records import RecordedEvent
from rill_django.domain.tracebacks import shortened_text
from rill_django.projections.observing import Outcome, observe_failure
from rill_django.projections.parking import Parking, Place
from rill_django.projections.projection import HandlerFailed, OnError, Projection
from rill_django.projections.sessions import Session
from rill_django.projections.turns import Turn
from rill_django.store.trouble import trouble_of


class ParkingBeside:
    """Parks for a rebuild of a projection with ``on_error = PARK``; for others it does nothing.

    Until the swap the parked events are under a name of their own, since those of the live rows are others.

    Args:
        projection: whose rows are built.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._is_on = projection.on_error is OnError.PARK
        self._name = f"{projection.name} (beside)"
        self._live = Parking(projection, projection.partitions)
        self._beside = Parking(projection, projection.partitions, name=self._name)
        self._failures: Counter[Place] = Counter()
        self._given_up: dict[Place, str] = {}

    def session(self, inner: Session) -> Session:
        """Return a session that applies only what no parked event of the same key is before."""
        return _Parking(inner, self) if self._is_on else inner

    def free(self, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
        """Park what was given up, and what is behind it, in this transaction; return the others."""
        return self._beside.free(events, self._given_up)

    def take_back(self, position: int) -> None:
        """Park nothing behind a position, up to which the transaction has come only."""
        self._beside.take_back(position)

    def park(self, error: HandlerFailed) -> bool:
        """Note that an event has failed; return whether it can be tried again, or gone on without it."""
        if not self._is_on or trouble_of(error):
            return False  # Trouble of the database says nothing against the event.
        place = self._beside.place_of(error.event)
        self._failures[place] += 1
        if self._failures[place] >= configuration().handler_tries:
            self._given_up[place] = shortened_text(error)
            observe_failure(self._name, error.event.identity, error, outcome=Outcome.PARKED)
        return True

    def swap(self) -> None:
        """Have them be those of the live rows, instead of all there were; in the transaction of the swap."""
        self._live.parked.delete()
        self._beside.renumber()  # They may be from a run of a release with other partitions.
        self._beside.parked.update(projection=self._projection.name)

    def remove(self) -> None:
        """Forget them: the rows beside are made anew, or not at all."""
        self._beside.parked.delete()


class _Parking(Session):
    def __init__(self, inner: Session, parking: ParkingBeside) -> None:
        self._inner = inner
        self._parking = parking

    def apply(self, events: Iterable[RecordedEvent], turn: Turn | None = None) -> int | None:
        """See `Session.apply`."""
        border = self._inner.apply(self._parking.free(events), turn)
        if border is not None:
            self._parking.take_back(border)
        return border

    def flush(self) -> None:
        """See `Session.flush`."""
        self._inner.flush()
