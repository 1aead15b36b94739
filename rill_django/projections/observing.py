"""What the worker tells about its work: to the log, and to whoever subscribes.

::

    @subscribe
    def measure(seen: BatchApplied | BatchFailed) -> None:
        statsd.gauge(f"projection.{seen.projection}.lag", …)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timezone
from enum import Enum
from typing import NamedTuple, TypeVar

from rill_django.domain.tracebacks import shorten

logger = logging.getLogger("rill_django.projections")


class Outcome(Enum):
    """What becomes of a projection whose handler has failed."""

    RETRY = "will try again"
    PARKED = "has parked the event's key"
    STOPPED = "has stopped"


class BatchApplied(NamedTuple):
    """A batch is committed.

    Attributes:
        projection: its name.
        partition: number of the partition, from 0.
        position: that the projection has come to.
        head: last position of the log, as it was known then.
        events: how many there were for its handlers.
        seconds: that it took, the commit included.
        recorded_at: time of the last of the events; ``None``: there was none.
    """

    projection: str
    partition: int
    position: int
    head: int
    events: int
    seconds: float
    recorded_at: datetime | None

    @property
    def lag(self) -> int:
        """Events that are in the log and not applied yet."""
        return max(self.head - self.position, 0)

    @property
    def lag_seconds(self) -> float:
        """How old the last applied event is, if others wait behind it; else 0.

        By this host's clock, and an upper bound of the age of the oldest that waits: more would take a query.
        """
        if not self.lag or self.recorded_at is None:
            return 0.0
        return max((datetime.now(timezone.utc) - self.recorded_at).total_seconds(), 0.0)

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds if self.seconds else 0.0


class BatchFailed(NamedTuple):
    """A handler raised an exception, or an event could not be read.

    Attributes:
        projection: its name.
        partition: number of the partition, from 0.
        event: identity of the event, ``stream@version``; empty if it is not known.
        error: what was raised.
        outcome: what becomes of the projection.
    """

    projection: str
    partition: int
    event: str
    error: BaseException
    outcome: Outcome


Listener = Callable[["BatchApplied | BatchFailed"], object]
L = TypeVar("L", bound=Listener)

_listeners: tuple[Listener, ...] = ()


def subscribe(listener: L) -> L:
    """Call ``listener`` with every `BatchApplied` and `BatchFailed` of this process's workers.

    It is called in the worker's thread, outside transactions. What it raises is logged and stops nobody.
    """
    global _listeners
    _listeners = (*_listeners, listener)
    return listener


def unsubscribe(listener: Listener) -> None:
    """Call it no more."""
    global _listeners
    _listeners = tuple(one for one in _listeners if one is not listener)


def observe_batch(
    projection: str,
    position: int,
    head: int,
    events: int,
    seconds: float,
    *,
    partition: int = 0,
    recorded_at: datetime | None = None,
) -> None:
    """Tell that a batch is committed. For the worker; arguments as in `BatchApplied`."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "projection %s is at %d: %d events in %.1f ms",
            projection,
            position,
            events,
            1000 * seconds,
            extra={
                "projection": projection,
                "partition": partition,
                "position": position,
                "events": events,
                "duration": seconds,
            },
        )
    if _listeners:
        _tell(
            BatchApplied(projection, partition, position, head, events, seconds, recorded_at),
        )


def observe_failure(
    projection: str,
    event: str,
    error: BaseException,
    *,
    outcome: Outcome = Outcome.STOPPED,
    partition: int = 0,
    position: int | None = None,
) -> None:
    """Tell that an event could not be applied. For the worker.

    Args:
        projection, event, error, outcome, partition: see `BatchFailed`.
        position: that the projection has come to before, if it is known.
    """
    will_retry = outcome is Outcome.RETRY
    shorten(error, keeps_first=False)
    logger.log(
        logging.WARNING if will_retry else logging.ERROR,
        "projection %s %s: %s",
        projection,
        outcome.value,
        error,
        exc_info=None if will_retry else error,
        extra={
            "projection": projection,
            "partition": partition,
            "position": position,
            "event": event,
        },
    )
    if _listeners:
        _tell(BatchFailed(projection, partition, event, error, outcome))


def _tell(seen: BatchApplied | BatchFailed) -> None:
    for listener in _listeners:
        try:
            listener(seen)
        except Exception:
            logger.exception("a listener failed: %s", getattr(listener, "__qualname__", listener))
