"""How far the rows beside have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.errors import RowsBesideLost
from rill_django.projections.trust import reasons_for_distrust
from rill_django.store.protocol import EventStore


def stopped_beside(projection: Projection) -> QuerySet[Checkpoint]:
    """Return the note of a new version whose rows could not be built, if there is one."""
    found: QuerySet[Checkpoint] = Checkpoint.objects.using(projection.using).filter(
        name=projection.name, is_beside=True, state=State.STOPPED
    )
    return found


class Bookmark:
    """The checkpoint of the rows beside, in the database that they are in.

    While several processes build them together, each has one for its share. A note that they cannot be
    built stands in the same place, and is none.

    Args:
        projection: whose rows they are.
        is_kept: whether the rows outlive the process; if not, neither does the bookmark.
    """

    def __init__(self, projection: Projection, *, is_kept: bool) -> None:
        self._projection = projection
        self._is_kept = is_kept
        self._own = Checkpoint(name=projection.name, is_beside=True)
        """Instead of one in the database, where the rows are not kept."""

    def _rows(self) -> QuerySet[Checkpoint]:
        found: QuerySet[Checkpoint] = Checkpoint.objects.using(self._projection.using).filter(
            name=self._projection.name, is_beside=True
        )
        ordered: QuerySet[Checkpoint] = found.order_by("partition")
        return ordered

    def _marks(self) -> QuerySet[Checkpoint]:
        """Return those of the same version of the code."""
        marks: QuerySet[Checkpoint] = self._rows().filter(
            version=self._projection.version, state=State.RUNNING
        )
        return marks

    def find(self) -> Sequence[Checkpoint]:
        """Return what an earlier rebuild by the same version of the code has left, by share.

        Nothing if one of the shares is not known, or none has begun.
        """
        found = _all_or_none(self._marks())
        return found if any(one.position for one in found) else []

    def begin(self) -> None:
        """Note that nothing is built yet."""
        self._replace(0, 1, "")

    def divide(self, position: int, shares: int, seen: str) -> None:
        """Note that all shares are built up to this position: so many, or one that is all of it.

        Args:
            position: of the last event.
            shares: how many.
            seen: ``stream@version`` of that event.
        """
        self._replace(position, shares, seen)

    def _replace(self, position: int, shares: int, seen: str) -> None:
        with transaction.atomic(using=self._projection.using):
            self.remove()
            if self._is_kept:
                self._rows().bulk_create(
                    Checkpoint(
                        name=self._projection.name,
                        is_beside=True,
                        version=self._projection.version,
                        partition=number,
                        partitions=shares,
                        position=position,
                        seen=seen,
                    )
                    for number in range(shares)
                )

    def stop(self, failed_event: str, error: str) -> None:
        """Note that the rows cannot be built, and why. What there is of them is not taken up again."""
        with transaction.atomic(using=self._projection.using):
            self.remove()
            self._rows().create(
                name=self._projection.name,
                is_beside=True,
                version=self._projection.version,
                state=State.STOPPED,
                failed_event=failed_event,
                error=error,
            )

    def lock(self, position: int, store: EventStore) -> Callable[[int, str], None]:
        """Lock it for this transaction; return what moves it.

        Raises:
            RowsBesideLost: it is not at this position, or the log is not the one that it has seen.
        """
        if not self._is_kept:
            self._refuse_another_log([self._own], store)
            return self._move_own
        mark = self.lock_share((0, 1), store)
        if mark.position != position:
            raise self._lost()
        move: Callable[[int, str], None] = mark.move_to
        return move

    def _move_own(self, position: int, seen: str) -> None:
        self._own.position, self._own.seen = position, seen

    def lock_share(self, share: tuple[int, int], store: EventStore) -> Checkpoint:
        """Lock that of one share for this transaction, once nobody else builds it; return it.

        Raises:
            RowsBesideLost: there is no such share, or the log is not the one that it has seen.
        """
        number, of = share
        locked = self._marks().select_for_update()
        found: Checkpoint | None = locked.filter(partition=number, partitions=of).first()
        if found is None:
            raise self._lost()
        self._refuse_another_log([found], store)
        return found

    def lock_all(self, store: EventStore) -> Sequence[Checkpoint]:
        """Lock those of all shares for this transaction; return none if one is missing.

        Raises:
            RowsBesideLost: the log is not the one that they have seen.
        """
        found = _all_or_none(self._marks().select_for_update())
        self._refuse_another_log(found, store)
        return found

    def _refuse_another_log(self, marks: Sequence[Checkpoint], store: EventStore) -> None:
        """Raise `RowsBesideLost` if the log was restored meanwhile: the rows have events that it has not."""
        if reasons_for_distrust(marks, store):
            raise RowsBesideLost(
                f"The log is another one than when the rows beside those of {self._projection.name} were "
                "begun: it was restored meanwhile. They have to be begun anew."
            )

    def _lost(self) -> RowsBesideLost:
        return RowsBesideLost(f"Somebody else has rebuilt {self._projection.name} meanwhile.")

    def remove(self) -> None:
        """Note that there are no rows beside."""
        self._rows().delete()


def _all_or_none(marks: QuerySet[Checkpoint]) -> Sequence[Checkpoint]:
    found = list(marks)
    shares = [(one.partition, one.partitions) for one in found]
    return found if shares == [(number, len(found)) for number in range(len(found))] else []
