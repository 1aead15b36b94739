"""Statements of handlers and key functions: each sees all rows as the events before it have left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from rill_django.projections.at_work import AtWork
from rill_django.projections.handlers import handlers_at_work
from rill_django.projections.projection import Projection

_READING = ("SELECT", "SAVEPO", "RELEAS", "ROLLBA")
"""How statements begin that change no rows."""


class Asking:
    """Has rows in memory written before a statement that a projection's author has made.

    Otherwise it would depend on where batches end, what a handler finds that looks at other rows.

    Args:
        write: writes what has changed.

    Attributes:
        is_reading_keys: key functions are at work, and not handlers.
        has_asked: there was a statement since this was last looked at.
        has_written: so it was, and it may have changed rows.
        needs_single: keys and rows must not be read ahead for several events, as statements came up on
            which they may depend.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._here: AtWork | None = None
        self._failed: BaseException | None = None
        self.is_reading_keys = False
        self.has_asked = False
        self.has_written = False
        self.needs_single = False

    @contextmanager
    def at_work(self, projection: Projection, using: str) -> Iterator[AtWork]:
        """Have the projection's functions at work, whose statements go to this database."""
        with (
            handlers_at_work(projection) as self._here,
            connections[using].execute_wrapper(self._before_statement),
        ):
            yield self._here

    def _before_statement(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        here, is_reading_keys = self._here, self.is_reading_keys
        assert here is not None
        if here.row is None and not is_reading_keys:
            return execute(sql, params, many, context)  # It is the library's own.
        self.has_asked = True
        if not (isinstance(sql, str) and sql.lstrip()[:6].upper() in _READING):
            self.has_written = True
        if is_reading_keys or self.has_written:
            self.needs_single = True
        row, here.row, self.is_reading_keys = here.row, None, False
        try:
            self._write()
        except BaseException as error:
            self._failed = error
            raise
        finally:
            here.row, self.is_reading_keys = row, is_reading_keys
        return execute(sql, params, many, context)

    def raise_if_failed(self) -> None:
        """Raise what writing has raised: a handler that has caught it would have these rows lost."""
        self.has_asked = False
        if self._failed is not None:
            raise self._failed
