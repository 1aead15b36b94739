"""Whether projections are well: for monitors, which want a list of what is wrong.

::

    from rill_django.projections import health

    problems = health.check(max_lag=10_000, max_lag_seconds=60)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from rill_django.projections.checkpoint import State
from rill_django.projections.status import ProjectionStatus, in_words, projection_statuses
from rill_django.projections.waits import LONG_SECONDS
from rill_django.store.protocol import EventStore


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        projection: its name; empty: it is about the log, and so about all of them.
        text: what is wrong, in a sentence that names the projection. It holds no data of events.
    """

    projection: str
    text: str

    def __str__(self) -> str:
        return self.text


def check(
    names: Collection[str] = (),
    *,
    max_lag: int | None = None,
    max_lag_seconds: float | None = None,
    store: EventStore | None = None,
) -> list[Problem]:
    """Return what is wrong with projections; nothing: all is well.

    A projection that stands still or has parked events is always a problem, and so is one that has been
    waiting for its database, or for a newer release, for a minute, and a log that gives no positions any
    more. A lag is one only beyond the bounds given; events that have no position yet count.
    What a rebuild makes beside the live rows may lag as it likes.

    Args:
        names: of the projections; default: all.
        max_lag: most events that may be in the log and not applied yet.
        max_lag_seconds: how old the oldest of them may be.
        store: the log; default: the project's.

    Raises:
        UnknownProjection: there is none of a name.
    """
    return list(problems_of(projection_statuses(store, names=names), max_lag, max_lag_seconds))


def problems_of(
    statuses: Iterable[ProjectionStatus], max_lag: int | None, max_lag_seconds: float | None
) -> Iterator[Problem]:
    """Yield what is wrong with projections that stand where these do; see `check`."""
    statuses = list(statuses)
    held = next((one for one in statuses if one.unsequenced.holder), None)
    if held is not None:
        yield Problem(
            "",
            f"the log gives no positions: {unsequenced_in_words(held)}; "
            "`manage.py projection_status` says who or what keeps them from it, and how to end that",
        )
    for status in (piece for whole in statuses for piece in whole.pieces):
        name = f"{status.name} ({status.part})" if status.part else status.name
        for text in _wrong_with(status, max_lag, max_lag_seconds):
            yield Problem(status.name, f"{name} {text}")


def _wrong_with(
    status: ProjectionStatus, max_lag: int | None, max_lag_seconds: float | None
) -> Iterator[str]:
    if status.parked:
        yield f"has parked {counted(status.parked, 'event')}"
    if status.distrust:
        yield "has seen another log than the one that is there: its rows have to be rebuilt"
        return
    if status.state is State.STOPPED:
        yield f"stands still at {status.failed_event or 'an event'}"
        return
    if status.waiting_seconds >= LONG_SECONDS:
        yield f"waits for {status.waits_for} since {in_words(status.waiting_seconds)}"
    lags = (max_lag is not None and status.lag > max_lag) or (
        max_lag_seconds is not None and status.lag_seconds > max_lag_seconds
    )
    if lags and not status.is_beside:
        never = ", and has never been run" if status.state is None else ""
        yield (
            f"is {counted(status.lag, 'event')} behind, "
            f"the oldest recorded {in_words(status.lag_seconds)} ago{never}"
        )


def unsequenced_in_words(status: ProjectionStatus) -> str:
    """Return how many events of the log wait for a position, and how old the oldest is; empty: none does."""
    number = status.unsequenced.number
    if not number:
        return ""
    wait = "waits" if number == 1 else "wait"
    return f"{counted(number, 'event')} {wait}, the oldest recorded {status.unsequenced_time} ago"


def counted(number: int, noun: str) -> str:
    """Return ``1 event`` or ``2,000 events``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
