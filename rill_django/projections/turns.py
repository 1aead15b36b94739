"""How long handlers may go on in one transaction, and how many events they may be given at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from time import monotonic

from rill_django.domain.records import RecordedEvent
from rill_django.stopping import Stop

LOOK_EVERY_SECONDS = 0.002
"""How often it is asked whether to stop; in between, an event costs one look at the clock."""

FIRST_TOGETHER = 16
MOST_GROWTH = 4


class Turn:
    """What handlers may go on for: so many seconds, or until somebody asks to stop.

    A loop over events asks ``monotonic() >= turn.look_at``, which costs next to nothing, and if so
    `is_over`. What has begun is finished, and the first event is always applied, so that work gets on.

    Args:
        seconds: from now on.
        stop: is asked now and then.
    """

    __slots__ = ("_stop", "look_at", "seconds", "until")

    def __init__(self, seconds: float = inf, stop: Stop | None = None) -> None:
        self.seconds = seconds
        self.until = monotonic() + seconds
        self.look_at = 0.0
        """When to ask again, by the monotonic clock."""
        self._stop = stop

    def is_over(self) -> bool:
        """Whether no further event is to be begun."""
        now = monotonic()
        if now >= self.until or (self._stop is not None and self._stop.is_set()):
            return True
        self.look_at = (
            self.until if self._stop is None else min(self.until, now + LOOK_EVERY_SECONDS)
        )
        return False

    @property
    def is_endless(self) -> bool:
        """Whether nothing ends it."""
        return self.until == inf and self._stop is None


class Together:
    """How many events may be given to somebody who takes several at once, and cannot be interrupted.

    Few at first; then as many as take half a turn.
    """

    def __init__(self) -> None:
        self._most: float = FIRST_TOGETHER

    def portions(
        self, events: Sequence[RecordedEvent], turn: Turn
    ) -> Iterator[Sequence[RecordedEvent]]:
        """Yield the events in portions, while the turn lasts; those of one position are together."""
        start = 0
        while start < len(events) and not (start and turn.is_over()):
            end = len(events) if turn.is_endless else min(start + int(self._most), len(events))
            while end < len(events) and events[end].position == events[end - 1].position:
                end += 1
            began = monotonic()
            yield events[start:end]
            self._adapt(end - start, monotonic() - began, turn.seconds)
            start = end

    def _adapt(self, events: int, seconds: float, of: float) -> None:
        fit = events * of / 2 / max(seconds, 1e-9)
        self._most = max(min(fit, max(self._most, events) * MOST_GROWTH), 1)
        self._most = min(self._most, 1e9)
