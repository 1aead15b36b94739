"""What protects the process and the store from commits that are too large."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .codec import encode_event
from .errors import RillError
from .messages import EventMessage
from .records import NewEvent

LOOK_FROM = 128
"""New events of an aggregate from which on limits are looked at while a command makes more of them."""


class TooLarge(RillError, ValueError):
    """A commit is beyond a limit that protects the store. Nothing was stored."""


class Limits(msgspec.Struct, frozen=True):
    """What a single commit may be.

    Attributes:
        event_bytes: most bytes of one event's JSON, metadata included.
        events_per_commit: most events of one aggregate in one commit.
        commit_bytes: most bytes of one aggregate's events in one commit, metadata included.
    """

    event_bytes: int = 1_000_000
    events_per_commit: int = 10_000
    commit_bytes: int = 50_000_000

    def check(self, stream: str, events: Sequence[NewEvent]) -> None:
        """Check the events of one stream.

        Raises:
            TooLarge: they are too many, one of them is too large, or all together.
        """
        self._check_number(stream, len(events))
        total = 0
        for event in events:
            size = len(event.data) + len(event.metadata)
            if size > self.event_bytes:
                raise TooLarge(
                    f"{stream}: an event {event.type} has {size:,} bytes, and at most "
                    f"{self.event_bytes:,} are allowed (RILL['MAX_EVENT_BYTES']). "
                    "Keep large content elsewhere and store where it is."
                )
            total += size
        if total > self.commit_bytes:
            raise TooLarge(
                f"{stream}: the events of one commit have {total:,} bytes, and at most "
                f"{self.commit_bytes:,} are allowed (RILL['MAX_COMMIT_BYTES']). Commit in between."
            )

    def check_while_made(self, stream: str, messages: Sequence[EventMessage]) -> None:
        """Check the new events of an aggregate, to which one was added: `LOOK_FROM` or more.

        A command that would never end, or make gigabytes, ends here and not at its commit. Sizes are looked
        at each time that the events have doubled, so that all is encoded about once more.

        Raises:
            TooLarge: they are too many, one of them is too large, or all together.
        """
        number = len(messages)
        self._check_number(stream, number)
        if number & (number - 1) == 0:
            self.check(stream, [encode_event(message, b"{}") for message in messages])

    def _check_number(self, stream: str, number: int) -> None:
        if number > self.events_per_commit:
            raise TooLarge(
                f"{stream}: {number:,} events in one commit, and at most "
                f"{self.events_per_commit:,} are allowed (RILL['MAX_EVENTS_PER_COMMIT']). "
                "Commit in between."
            )
