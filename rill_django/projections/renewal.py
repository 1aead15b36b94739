"""A projection whose version was raised in the code: its rows are made anew beside other work."""

from __future__ import annotations

import logging
import time

from rill_django.domain.tracebacks import shortened_text
from rill_django.projections.connecting import raise_if_connection_is_lost
from rill_django.projections.observing import Outcome, observe_failure
from rill_django.projections.projection import HandlerFailed, Projection
from rill_django.projections.reasons import reason_of
from rill_django.projections.rebuild import AlreadyRebuilding, NewerRows, NewVersion, RowsBesideLost
from rill_django.projections.rebuilding.bookmark import Bookmark, stopped_beside
from rill_django.projections.running import Progress
from rill_django.projections.waits import Wait
from rill_django.stopping import Stop
from rill_django.store.protocol import EventStore
from rill_django.store.trouble import trouble_of

logger = logging.getLogger("rill_django.projections")

LEFT_TO_OTHERS_SECONDS = 0.5
"""How soon to look again whether another worker is still building it."""


class Renewal:
    """Builds the rows of the code's version beside the older live ones, a step at a time.

    Until they are swapped in, the live rows are left to workers of the older release: today's handlers
    would make a mixture of them. What fails is noted beside the live checkpoint, and tried again every few
    minutes.

    Args:
        projection: whose live rows are of an older version, or were never built.
        store: the log.
        progress: called after every step.
        batch_size: most events applied in one step.
        stop: ends a step early.
    """

    def __init__(
        self,
        projection: Projection,
        store: EventStore,
        progress: Progress,
        batch_size: int,
        stop: Stop | None = None,
    ) -> None:
        self.projection = projection
        self.wait = Wait(f"{projection.name}, version {projection.version}", projection.using)
        """What the database keeps it waiting for, if it does."""
        self._stop = stop
        self.gave_up = ""
        """Why it cannot be built, if it cannot."""
        self.due = 0.0
        """When there is something to do again, by the monotonic clock."""
        self._store = store
        self._progress = progress
        self._batch_size = batch_size
        self._steps: NewVersion | None = None

    def step(self) -> bool:
        """Take a step; return whether it did anything that may be gone on with at once.

        Raises:
            ConnectionLost: what is built stays if possible.
        """
        if self.gave_up or self.due > time.monotonic():
            return False
        if self._steps is None:
            self._steps = self._begin()
        try:
            has_more = self._steps.step()
        except AlreadyRebuilding:
            self._steps = None
            self.due = time.monotonic() + LEFT_TO_OTHERS_SECONDS
            return False
        except RowsBesideLost as error:
            logger.warning("%s It begins anew.", error)
            self._steps = None
            return True
        except NewerRows:
            self._steps = None
            return False
        except Exception as error:
            self._steps = None
            raise_if_connection_is_lost(self.projection.using, error)
            trouble = trouble_of(error)
            if trouble is None:
                self._give_up(error)
            else:
                # It says nothing against event or handler.
                self.due = self.wait.begin_again(trouble, error)
            return False
        self.wait.end()
        if not has_more:
            self._steps = None
            return True
        self.due = time.monotonic() + self._steps.pause
        return not self._steps.pause

    def _begin(self) -> NewVersion:
        logger.info(
            "projection %s: rows of version %d are built",
            self.projection.name,
            self.projection.version,
        )
        return NewVersion(
            self.projection,
            store=self._store,
            progress=self._progress,
            batch_size=self._batch_size,
            stop=self._stop,
        )

    def try_once_more(self) -> None:
        """Have a second thought about what was given up, by this worker or another one."""
        self.gave_up = ""

    def close(self) -> None:
        """Leave it, for another worker or a later time to go on."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def abandon(self) -> None:
        """Leave it for good: somebody else has made rows of this version, or of a newer one."""
        if self._steps is not None:
            self._steps.abandon()
            self._steps = None

    def _give_up(self, error: Exception) -> None:
        event = getattr(error, "identity", "")
        if isinstance(error, HandlerFailed):
            event = error.event.identity
        mark = Bookmark(self.projection, is_kept=True)
        mark.stop(event, shortened_text(error))
        self.gave_up = str(error)
        observe_failure(self.projection.name, event, error, outcome=Outcome.STOPPED)

    def look_whether_given_up(self) -> None:
        """Take note of what another worker could not build, or of somebody's wish to try it again."""
        noted = stopped_beside(self.projection).filter(version=self.projection.version).first()
        self.gave_up = reason_of(noted.error) if noted else ""
