"""What holds while a projection's handlers and key functions run.

- Statements of theirs go where the projection writes, see `routing`.
- They commit no events, see `store/read_only`.
- A row that a `RowProjection` has given them is written by it alone.
- While rows are made anew (`making_anew`), what they give to ``transaction.on_commit`` is left out, and
  what they write to other tables is refused: a rebuild has no effect outside its own rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.errors import RillError
from rill_django.projections.at_work import AtWork, current
from rill_django.projections.foreign_writes import begin_to_refuse, end_to_refuse
from rill_django.projections.routing import put_in_front
from rill_django.store.read_only import begin_read_only, end_read_only

if TYPE_CHECKING:
    from rill_django.projections.projection import Projection

logger = logging.getLogger("rill_django.projections")


class ProjectionInHandler(RillError, RuntimeError):
    """A projection's handler had a projection apply events, e.g. by ``catch_up``."""

    def __init__(self, projection: str) -> None:
        self.projection = projection
        super().__init__(
            f"A handler of the projection {projection} has a projection apply events. A handler only derives "
            "its own rows from the event that it is given."
        )

    def __reduce__(self) -> tuple[type[ProjectionInHandler], tuple[str]]:
        return type(self), (self.projection,)


_makes_anew: ContextVar[bool] = ContextVar("rill_rows_are_made_anew", default=False)
_told: WeakSet[Projection] = WeakSet()


class handlers_at_work:  # noqa: N801 - used like a function, and faster than a generator
    """Have handlers and key functions of a projection run inside the ``with`` block.

    Raises:
        ProjectionInHandler: a handler has asked for that.
    """

    __slots__ = ("_projection", "_read_only", "_refusing", "_silenced", "_token")

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._token: Token[AtWork | None] | None = None

    def __enter__(self) -> AtWork:
        outer = current.get()
        if outer is not None:
            if outer.projection is not self._projection:
                raise ProjectionInHandler(outer.projection.name)
            return outer
        put_in_front()
        projection = self._projection
        here = AtWork(projection, projection.using, projection.own_models())
        self._silenced = _silenced(projection) if _makes_anew.get() else ()
        if self._silenced:
            self._refusing = begin_to_refuse(projection, self._silenced)
        self._read_only = begin_read_only(projection.name)
        self._token = current.set(here)
        return here

    def __exit__(self, *_: object) -> None:
        if self._token is None:
            return
        current.reset(self._token)
        end_read_only(self._read_only)
        if self._silenced:
            end_to_refuse(self._refusing, self._silenced)
        for connection in self._silenced:
            del connection.on_commit  # Of the instance: the class's own comes to light again.


def refuse_in_handler() -> None:
    """Raise `ProjectionInHandler` if handlers are at work in this thread or task."""
    if (outer := current.get()) is not None:
        raise ProjectionInHandler(outer.projection.name)


@contextmanager
def making_anew() -> Iterator[None]:
    """Have handlers make rows anew of events whose rows were made before, inside the ``with`` block."""
    token = _makes_anew.set(True)
    try:
        yield
    finally:
        _makes_anew.reset(token)


def _silenced(projection: Projection) -> Sequence[BaseDatabaseWrapper]:
    """Have this thread's connections, which are returned, forget what is to be called on commit."""

    def on_commit(func: Callable[[], object], robust: bool = False) -> None:
        if projection not in _told:
            _told.add(projection)
            logger.warning(
                "%s: what its handlers give to transaction.on_commit (%s) is left out, since rows are made "
                "anew of events that had their effects before",
                projection.name,
                getattr(func, "__qualname__", func),
            )

    found = connections.all()
    for connection in found:
        connection.on_commit = on_commit  # type: ignore[method-assign]
    return found
