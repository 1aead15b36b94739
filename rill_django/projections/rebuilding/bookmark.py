"""How far the rows beside have come."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.db.models import QuerySet

from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.errors import RowsBesideLost


class Bookmark:
    """The checkpoint of the rows beside, in the database that they are in.

    While several processes build them together, each has one for its share.

    Args:
        projection: whose rows they are.
        is_kept: whether the rows outlive the process; if not, neither does the bookmark.
    """

    def __init__(self, projection: Projection, *, is_kept: bool) -> None:
        self._projection = projection
        self._is_kept = is_kept

    def _rows(self) -> QuerySet[Checkpoint]:
        found: QuerySet[Checkpoint] = Checkpoint.objects.using(self._projection.using).filter(
            name=self._projection.name, is_beside=True
        )
        ordered: QuerySet[Checkpoint] = found.order_by("partition")
        return ordered

    def find(self) -> list[Checkpoint]:
        """Return what an earlier rebuild by the same version of the code has left, by share."""
        found = self._rows().filter(version=self._projection.version, state=State.RUNNING)
        return list(found)

    def begin(self) -> None:
        """Note that nothing is built yet."""
        self._replace(0, 1)

    def divide(self, position: int, shares: int) -> None:
        """Note that all shares are built up to this position: so many, or one that is all of it."""
        self._replace(position, shares)

    def _replace(self, position: int, shares: int) -> None:
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
                    )
                    for number in range(shares)
                )

    def lock(self, position: int, share: tuple[int, int] = (0, 1)) -> Callable[[int], None]:
        """Lock it for this transaction; return what moves it.

        Raises:
            RowsBesideLost: it is not at this position.
        """
        if not self._is_kept:
            return lambda position: None
        number, of = share
        mine = self._rows().select_for_update().filter(partition=number, partitions=of)
        found: Checkpoint | None = mine.first()
        if found is None or found.position != position:
            raise RowsBesideLost(f"Somebody else has rebuilt {self._projection.name} meanwhile.")
        move: Callable[[int], None] = found.move_to
        return move

    def lock_all(self) -> list[Checkpoint]:
        """Lock those of all shares for this transaction."""
        return list(self._rows().select_for_update())

    def remove(self) -> None:
        """Note that there are no rows beside."""
        self._rows().delete()
