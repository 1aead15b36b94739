"""Where rows are made beside the live ones: what every database does in its own way."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import ClassVar, NamedTuple

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.tables import Model, foreign_parents, models_of


class Sides(NamedTuple):
    """How the two tables of a model are called in SQL, at the moment of a comparison."""

    live: str
    beside: str


class Place(ABC):
    """Tables beside the live ones, with the same names, for one projection.

    Args:
        projection: an instance that nobody else applies events with.
        purpose: part of the place's name; places with different purposes do not meet.
    """

    keeps_progress: ClassVar[bool] = False
    """Whether the tables outlive the process that makes them, and others can build in them, too."""

    def __init__(self, projection: Projection, purpose: str) -> None:
        self.projection = projection
        self.using = projection.using
        self.models: Sequence[Model] = models_of(projection)
        self._purpose = purpose
        self._division = ""

    @cached_property
    def name(self) -> str:
        """What it is called in the database: the projection's own, and that of its purpose."""
        return self._named()

    def _named(self, schema: str = "") -> str:
        """Return a readable name of its own, also in this schema, that is short enough for every database."""
        whole = f"rill_{self._purpose}_{schema}_{self.projection.name}"
        digest = hashlib.blake2b(
            f"{schema}\0{self.projection.name}".encode(), digest_size=6
        ).hexdigest()
        return re.sub(r"[\W_]+", "_", whole, flags=re.ASCII).lower()[:46] + f"_{digest}"

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """The connection in use."""
        connection = connections[self.using]
        assert isinstance(connection, BaseDatabaseWrapper)
        return connection

    def reasons_against(self) -> list[str]:
        """Say what would be lost if the live tables' rows were replaced, if anything would.

        Raises:
            RowsOfAnotherSchema: they are not the projection's own.
        """
        return foreign_parents(list(self.models))

    def connected(self) -> AbstractContextManager[None]:
        """Have the place's connection be that of its database, inside the ``with`` block."""
        return nullcontext()

    @abstractmethod
    def claim(self) -> bool:
        """Take the place for this process, until it ends; return whether nobody else has it."""

    @abstractmethod
    def release(self) -> None:
        """Give the claim up. What has been built stays where that is possible."""

    def is_as_left(self) -> bool:
        """Whether there are tables from before, of the form that the live ones have now."""
        return False

    def division(self) -> str:
        """Return what `note_division` was told: how the rows are divided among those who build them."""
        return self._division

    def note_division(self, division: str) -> None:
        """Keep as long as the tables how their rows are divided from now on; nothing: not at all.

        Raises:
            RowsBesideLost: they are no longer there.
        """
        self._division = division

    @abstractmethod
    def make(self) -> None:
        """Make empty tables; what was there before goes."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the tables, if there are any."""

    @abstractmethod
    def building(self) -> AbstractContextManager[None]:
        """Have statements mean the tables beside, inside the ``with`` block, inside a transaction.

        Raises:
            RowsBesideLost: they are no longer there.
            LiveRowsTouched: they were not what all statements meant. The transaction must not be committed.
        """

    @abstractmethod
    def finishing(self) -> AbstractContextManager[None]:
        """Surround the last step: what has to be done outside its transaction."""

    def waiting_at_most(self, seconds: float) -> AbstractContextManager[None]:
        """Bound the wait for each lock inside the ``with`` block, where the database itself sets no bound.

        Inside a transaction, in which whoever waits longer gets an error that `is_busy` knows.
        """
        return nullcontext()

    @abstractmethod
    def finish(self, apply_rest: Callable[[], object]) -> None:
        """Apply the last events, and replace the live rows.

        Inside a transaction that holds the live checkpoints. The tables beside are gone afterwards.
        """

    def waits_for(self) -> str:
        """Say who keeps the last step from being taken, or nothing. Called when all is caught up."""
        return ""

    @abstractmethod
    def is_busy(self, error: DatabaseError) -> bool:
        """Whether the error says only that somebody else holds a lock."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Open a transaction in which the live tables do not move, for comparing."""

    @abstractmethod
    def sides(self) -> dict[Model, Sides]:
        """Return how live tables and those beside are called, inside `snapshot`; the last thing there."""


@contextmanager
def connection_instead(using: str, connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Use another connection to a database inside the ``with`` block, in this thread."""
    before = connections[using]
    connections[using] = connection
    try:
        yield
    finally:
        connections[using] = before
