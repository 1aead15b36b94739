"""What protects the store from commits that are too large."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rill_django.domain.errors import RillError
from rill_django.domain.records import NewEvent


class TooLarge(RillError, ValueError):
    """A commit is beyond a limit that protects the store. Nothing was stored."""


class Limits(msgspec.Struct, frozen=True):
    """What a single commit may be.

    Attributes:
        event_bytes: most bytes of one event's JSON, metadata included.
        events_per_commit: most events of one aggregate in one commit.
    """

    event_bytes: int = 1_000_000
    events_per_commit: int = 10_000

    def check(self, stream: str, events: Sequence[NewEvent]) -> None:
        """Raise `TooLarge` if the events of one stream are too many, or one of them too large."""
        if len(events) > self.events_per_commit:
            raise TooLarge(
                f"{stream}: {len(events):,} events in one commit, and at most "
                f"{self.events_per_commit:,} are allowed (RILL['MAX_EVENTS_PER_COMMIT']). "
                "Commit in between."
            )
        for event in events:
            size = len(event.data) + len(event.metadata)
            if size > self.event_bytes:
                raise TooLarge(
                    f"{stream}: an event {event.type} has {size:,} bytes, and at most "
                    f"{self.event_bytes:,} are allowed (RILL['MAX_EVENT_BYTES']). "
                    "Keep large content elsewhere and store where it is."
                )
