"""What a contestant can do. Standard library only: it is imported by the peers' interpreters, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Airport(Protocol):
    """Has the flights as events, and projections of them.

    The peer has one projection, a row per flight; which ones are named does not matter to it.
    """

    def install(self) -> None:
        """Make the tables, and leave no connection open."""

    def close(self) -> None:
        """Close the connections; they are opened again by what needs them."""

    def record(self, flights: int) -> int:
        """Make the log hold so many flights at least; return how many events it has."""

    def forget(self, projections: Sequence[str]) -> None:
        """Empty the projections' tables and put them back to the beginning of the log."""

    def catch_up(self, projections: Sequence[str], events: int | None = None) -> tuple[int, float]:
        """Bring them up to date in one worker; return the position reached, and seconds until then.

        Args:
            events: stop behind the first so many, at the end of a batch.
        """

    def check(self, projection: str) -> None:
        """Raise `RuntimeError` if the projection has not a row for every flight of the log."""


class OurAirport(Airport, Protocol):
    """What is measured of rill_django alone."""

    def read(self) -> int:
        """Read the whole log into typed events, and return how many there were."""

    def handle(self, projection: str, events: int) -> float:
        """Give the log's first events to the projection's handlers, in one transaction, and no more.

        Returns:
            Seconds, without reading them.
        """

    def rebuild(self, projection: str, workers: int) -> None:
        """Make a projection's rows anew, as ``manage.py rebuild_projections`` does."""

    def latencies(self, samples: int, tag: str) -> list[float]:
        """Return seconds from a command's commit to its row, with a worker that is idle before."""

    def memory(self, projection: str) -> dict[str, float]:
        """Return megabytes of a process at its peak, in the course of a rebuild."""
