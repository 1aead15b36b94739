"""The live tail of the log. Source: Rill/Wheel's ``event-channel`` and its ``CaughtUp`` marker."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from threading import Event as Signal
from typing import TYPE_CHECKING, NamedTuple

from rill_django.domain.codec import decode_events
from rill_django.domain.records import RecordedEvent
from rill_django.domain.registry import current_registry
from rill_django.store.pages import PAGE_BYTES
from rill_django.store.protocol import SequencerHeld

if TYPE_CHECKING:
    from rill_django.store.reader import Reader

logger = logging.getLogger("rill_django.subscription")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0


class CaughtUp(NamedTuple):
    """Stands between events: everything up to this position has been given out.

    Attributes:
        position: the log's head at that moment. All that was committed by then is up to it.
    """

    position: int


class Subscription:
    """Iterates over the events that there are and then over those that come, until it is stopped.

    Yields `RecordedEvent`, and `CaughtUp` each time the head is reached. A dropped connection is made
    anew, with growing pauses; no event is lost or repeated by that. `position` is where to go on later.

    Args:
        reader: which events, and after which position.
        poll_interval: seconds between two looks at the log when there is nothing new.
    """

    def __init__(self, reader: Reader, *, poll_interval: float = 0.05) -> None:
        if reader.selection.stream is not None or reader.selection.backwards:
            raise ValueError(
                "A subscription follows the log onwards, not a stream and not backwards."
            )
        self._reader = reader
        self._poll_interval = poll_interval
        self._stopped = Signal()
        self.position = reader.selection.after or 0

    def stop(self) -> None:
        """End the iteration at once, also from another thread or a signal handler."""
        self._stopped.set()

    def __iter__(self) -> Iterator[RecordedEvent | CaughtUp]:
        said: int | None = None
        failures = 0
        store = self._reader.store
        passing: tuple[type[Exception], ...] = (*store.connection_errors, SequencerHeld)
        while not self._stopped.is_set():
            try:
                reached = store.sequence()
                reader = self._reader.after(self.position).limit(self._reader.page_size)
                reader = reader.max_bytes(PAGE_BYTES)
                page = list(reader.stored())
                is_end = reader.is_end(page)
                # Whoever is just giving positions is waited for before it is said that all is given out.
                is_as_said = not page and said is not None and reached <= said
                head = reached if is_as_said or not is_end else store.head()
            except passing as error:
                failures += 1
                self._wait_after(failures, error)
                continue
            failures = 0
            for stored in page:
                for event in decode_events([stored], current_registry()):
                    if self._stopped.is_set():
                        return
                    yield event
                self.position = stored.position or self.position
            if not is_end:
                continue
            self.position = max(self.position, reached)
            if head > self.position:
                continue
            if said != self.position:
                said = self.position
                yield CaughtUp(said)
            self._stopped.wait(self._poll_interval)

    def _wait_after(self, failures: int, error: Exception) -> None:
        pause = min(FIRST_PAUSE_SECONDS * 2**failures, LONGEST_PAUSE_SECONDS)
        pause *= random.uniform(0.5, 1.0)  # So that many do not come back at the same moment.
        logger.warning("the log cannot be read (%s); next try in %.1f s", error, pause)
        self._reader.store.reconnect()
        self._stopped.wait(pause)
