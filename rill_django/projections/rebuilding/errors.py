"""Why a rebuild did not come to its end. The live rows are as they were."""

from __future__ import annotations

from collections.abc import Sequence

from rill_django.domain.errors import RillError


class CannotBuildBeside(RillError):
    """The tables cannot be replaced without losing something.

    Attributes:
        reasons: what stands in the way.
    """

    def __init__(self, projection: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        super().__init__(
            f"{projection} cannot be rebuilt beside its live rows:{listed}\n"
            "Change that, or rebuild it in place: rebuild_projections --in-place, which is one long "
            "transaction."
        )


class AlreadyRebuilding(RillError):
    """Somebody else is rebuilding the projection."""


class RebuildInterrupted(RillError):
    """It was asked to stop.

    Attributes:
        position: how far it had come.
        is_kept: whether the next one goes on from there.
    """

    def __init__(self, projection: str, position: int, is_kept: bool) -> None:
        self.position = position
        self.is_kept = is_kept
        then = "The next one goes on from there." if is_kept else "The next one begins anew."
        super().__init__(
            f"The rebuild of {projection} was stopped at position {position:,}. {then}"
        )


class InsideTransaction(RillError, RuntimeError):
    """An inline projection cannot be rebuilt inside a transaction of the caller's."""

    def __init__(self, projection: str) -> None:
        super().__init__(
            f"{projection} is inline and cannot be rebuilt inside a transaction: events that it has stored "
            "have no position yet, and would be missing. Rebuild it behind `with transaction.atomic()`."
        )


class RowsBesideLost(RillError):
    """What had been built is gone: a connection was lost, or the live tables have changed meanwhile."""


class LiveRowsTouched(RillError):
    """While rows were made beside, statements meant the live ones. Nothing of it was committed.

    Attributes:
        projection: name of the projection.
        what: what was found.
    """

    def __init__(self, projection: str, what: str) -> None:
        self.projection = projection
        self.what = what
        super().__init__(
            f"{projection} cannot be rebuilt beside its live rows, which are as they were: {what} "
            "Something decides in the midst of it which tables names mean: a handler or a trigger that sets "
            "search_path or names a schema, or a database backend or pooler that resets the session. Leave "
            "that to the settings, or rebuild in place: rebuild_projections --in-place"
        )

    def __reduce__(self) -> tuple[type[LiveRowsTouched], tuple[str, str]]:
        return type(self), (self.projection, self.what)


class ShareFailed(RillError):
    """One of several processes that build a projection together could not go on."""


class ShareLost(RillError):
    """One of several processes that build a projection together is no more; the next rebuild goes on."""


class NewerRows(RillError):
    """The live rows are of a newer version than this code's, since a moment ago."""
