"""Temporary tables with the names of the live ones, which hide them from one connection alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.projections.rebuilding.errors import LiveRowsTouched, RowsBesideLost
from rill_django.projections.rebuilding.places import Place, connection_instead


class ShadowingPlace(Place):
    """What databases have in common where a temporary table hides the live one.

    All is done on a connection of the place's own, so that nobody takes the hidden table for the live
    one by mistake. When it is lost, so are the tables.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._own: BaseDatabaseWrapper | None = None
        self._session: object = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """See `Place.connected`."""
        if self._own is None:
            own = connections.create_connection(self.using)
            assert isinstance(own, BaseDatabaseWrapper)
            self._own = own
        with connection_instead(self.using, self._own):
            yield

    def claim(self) -> bool:
        """See `Place.claim`. Several do not meet: each has tables that only it sees."""
        return True

    def release(self) -> None:
        """See `Place.release`."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def drop(self) -> None:
        """See `Place.drop`: they go with the connection."""
        self.release()

    def make(self) -> None:
        """See `Place.make`."""
        connection = self.connection
        assert connection is self._own
        connection.close()
        with connection.cursor() as cursor:
            self.make_tables(cursor)
        self._session = connection.connection

    def make_tables(self, cursor: CursorWrapper) -> None:
        """Make the temporary tables."""
        raise NotImplementedError

    @contextmanager
    def building(self) -> Iterator[None]:
        """See `Place.building`."""
        if self._session is None or self.connection.connection is not self._session:
            raise self._lost()
        with self.connection.cursor() as cursor:
            # The driver's session need not be the server's: a proxy may stand between them.
            if self.not_hidden(cursor):
                raise self._lost()
            yield
            if not_hidden := self.not_hidden(cursor):
                tables = ", ".join(not_hidden)
                raise LiveRowsTouched(
                    self.projection.name, f"{tables} did not mean a temporary table any more."
                )

    def not_hidden(self, cursor: CursorWrapper) -> list[str]:
        """Return those names that do not mean a temporary table."""
        raise NotImplementedError

    def _lost(self) -> RowsBesideLost:
        return RowsBesideLost(
            f"The connection with the rebuilt rows of {self.projection.name} was lost."
        )

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """See `Place.finishing`."""
        yield
