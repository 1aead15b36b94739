"""Projections that run along with something else, in a thread of the same process."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Sequence
from threading import Event, Thread
from types import TracebackType

from django.db import DatabaseError, connections
from typing_extensions import Self

from rill_django.projections.worker import ProjectionWorker

logger = logging.getLogger("rill_django.projections")

PATIENCE_SECONDS = 5.0
PAUSE_AFTER_ERROR_SECONDS = 3.0


class BackgroundWorker:
    """Runs a `ProjectionWorker` in a thread inside the ``with`` block; a batch that has begun is finished.

    Whatever ends the process in an orderly way ends the thread, too. Errors of the database, as before
    the first ``migrate``, are logged, and it goes on when they are gone.

    Args:
        names: of the projections; default: all.

    Raises:
        UnknownProjection: there is none of a name.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self.projections = tuple(one.name for one in ProjectionWorker(self._names).projections)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="rill-projections", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        # The reloader ends this process by sys.exit in another thread than the server's.
        atexit.register(self.stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        atexit.unregister(self.stop)
        self.stop()

    def stop(self) -> None:
        """Ask the thread to end, and wait some seconds for it."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._work()
        finally:
            connections.close_all()

    def _work(self) -> None:
        try:
            ProjectionWorker(self._names).run(self._stop)
        except Exception as error:
            what = f"{type(error).__name__}: {str(error).strip()}"
            is_expected = isinstance(error, DatabaseError)
            logger.error("projections stand still for a moment: %s", what, exc_info=not is_expected)
            connections.close_all()
            self._stop.wait(PAUSE_AFTER_ERROR_SECONDS)
