"""Which projection's handlers run in this thread or task."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from rill_django.projections.projection import Projection


class AtWork:
    """A projection at work.

    Attributes:
        projection: whose.
        using: alias of the database that it writes to.
        models: those whose rows are its own.
        row: what a `RowProjection` has given to the handler that runs now; ``None`` outside of one.
    """

    __slots__ = ("models", "projection", "row", "using")

    def __init__(
        self, projection: Projection, using: str, models: frozenset[type[models.Model]]
    ) -> None:
        self.projection = projection
        self.using = using
        self.models = models
        self.row: Any = None


current: ContextVar[AtWork | None] = ContextVar("rill_handlers_at_work", default=None)
