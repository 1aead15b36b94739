"""What a store of events has to do. Source: Rill/Wheel's ``EventStore`` protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rill_django.domain.errors import RillError
from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.store.selection import Selection

if TYPE_CHECKING:
    from rill_django.store.reader import Reader

EMPTY_STREAM = -1
"""Version of a stream with no events."""


class WrongExpectedVersion(RillError):
    """The stream is not at the version that the append expects. Nothing was appended.

    Attributes:
        stream: the stream's name.
        expected_version: what the caller expected.
        actual_version: what was found just after.
    """

    def __init__(self, stream: str, expected_version: int, actual_version: int) -> None:
        self.stream = stream
        self.expected_version = expected_version
        self.actual_version = actual_version
        super().__init__(f"{stream} is at version {actual_version}, not {expected_version}")


class EventStore(Protocol):
    """A log of events, split into streams.

    Every implementation passes `rill_django.testing.contracts.EventStoreContract`.
    """

    def append(
        self, stream: str, expected_version: int, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent]:
        """Append events at the end of a stream, all or none of them.

        Inside a transaction of the caller's, a failure leaves that transaction usable.

        Args:
            stream: canonical stream name.
            expected_version: version of the stream's last event; `EMPTY_STREAM` for none.
            events: what to append; none: nothing happens and nothing is checked.

        Returns:
            The stored events. Their position is ``None``: it is given after commit.

        Raises:
            WrongExpectedVersion: the stream is at another version.
        """

    def load(self, stream: str, from_version: int = 0) -> Sequence[StoredEvent]:
        """Return the events of a stream in order, beginning with ``from_version``.

        For building aggregates: the position, which they have no use for, is left out (``None``).
        """

    def version(self, stream: str) -> int:
        """Return the version of the stream's last event; `EMPTY_STREAM` for none."""

    def head(self) -> int:
        """Return the position of the last event in the log that has one; 0 for none."""

    def read(self) -> Reader:
        """Return a reader over the whole log, to be narrowed by its methods."""

    def fetch(self, selection: Selection) -> Sequence[StoredEvent]:
        """Return the events of a selection, at most ``selection.limit`` of them."""

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call back when what was done so far is committed: at once, if it is already."""
