"""What a store of events has to do. Source: Rill/Wheel's ``EventStore`` protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import msgspec

from rill_django.domain.errors import RillError
from rill_django.domain.records import NewEvent, StoredEvent
from rill_django.domain.times import refuse_naive, refuse_naive_in
from rill_django.store.selection import Selection

if TYPE_CHECKING:
    from rill_django.store.answers import Answers
    from rill_django.store.reader import Reader
    from rill_django.store.subscription import Subscription

T = TypeVar("T")

EMPTY_STREAM = -1
"""Version of a stream with no events."""

LAST_POSITION = 2**63 - 1
"""The highest position that a database can hold. Nobody gets there by appending."""


class ExpectedVersion(Enum):
    """What may be expected of a stream besides a version.

    Source of the idea: Rails Event Store.
    """

    ANY = "any"
    """Append at whatever is the end."""
    NONE = "none"
    """The stream must have no events."""


ANY = ExpectedVersion.ANY
NONE = ExpectedVersion.NONE


class Append(msgspec.Struct, frozen=True):
    """What to append to one stream.

    Attributes:
        stream: canonical stream name.
        expected_version: version of the stream's last event, `EMPTY_STREAM`, `ANY` or `NONE`.
        events: what to append.
    """

    stream: str
    expected_version: int | ExpectedVersion
    events: Sequence[NewEvent]


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


class NoPositionLeft(RillError):
    """The last position of the log is the highest there can be, so that no event gets another one."""

    def __init__(self) -> None:
        super().__init__(
            f"The log has the position {LAST_POSITION:,}, behind which there is none: somebody has written "
            "it by hand. New events get no positions, and nobody reads them, until it is taken out. "
            "`manage.py verify_events` says what else is wrong."
        )


class SequencerHeld(RillError, RuntimeError):
    """Events are committed and have no position: somebody holds the sequencer's lock and does not go on.

    Attributes:
        seconds: how long was waited.
        holder: who holds it, and how to end that; empty: the database does not say.
    """

    def __init__(self, seconds: float, holder: str) -> None:
        self.seconds = seconds
        self.holder = holder
        super().__init__(
            f"Committed events wait for their positions, and did so for {seconds:g} s. "
            + (holder or "Somebody holds the sequencer's lock who cannot be seen from here.")
        )

    def __reduce__(self) -> tuple[type[SequencerHeld], tuple[float, str]]:
        return type(self), (self.seconds, self.holder)


WAITING_COUNTED_AT_MOST = 10_000
"""Events without a position that are counted; what is asked often has to stay cheap."""


class Waiting(NamedTuple):
    """Events that are committed and wait for their position, so that no reader sees them yet.

    Attributes:
        number: how many there are; `WAITING_COUNTED_AT_MOST` stands for "so many or more".
        oldest_seconds: how long ago the oldest of them was recorded, by the database's clock; 0.0 for none.
        holder: who or what keeps them from their positions and does not go on, and how to end that; empty:
            nobody, as far as the database tells.
    """

    number: int
    oldest_seconds: float
    holder: str = ""


class EventStore(Protocol):
    """A log of events, split into streams.

    Every implementation passes `rill_django.testing.contracts.EventStoreContract`.
    """

    def append(
        self, stream: str, expected_version: int | ExpectedVersion, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent]:
        """Append events at the end of a stream, all or none of them.

        Inside a transaction of the caller's, a failure leaves that transaction usable.

        Args:
            stream: canonical stream name.
            expected_version: version of the stream's last event, or `EMPTY_STREAM`; `NONE`, which is
                the same as that; or `ANY`, which is tried until it succeeds.
            events: what to append; none: nothing happens and nothing is checked.

        Returns:
            The stored events. Their position is ``None``: it is given after commit.

        Raises:
            WrongExpectedVersion: the stream is at another version.
            CommitInHandler: a projection's handlers are at work in this thread or task.
        """

    def append_all(self, appends: Sequence[Append]) -> Sequence[Sequence[StoredEvent]]:
        """Append to many streams, in one statement: all or nothing, in the order given.

        A stream may come up several times, if each time expects what the earlier ones lead to.

        Returns:
            The stored events of each, in the same order.

        Raises:
            ValueError: a stream that comes up again expects another version.
            WrongExpectedVersion: one of the streams is at another version.
            CommitInHandler: see `append`.
        """

    def load(self, stream: str, from_version: int = 0) -> Sequence[StoredEvent]:
        """Return the events of a stream in order, beginning with ``from_version``.

        For building aggregates: the position, which they have no use for, is left out (``None``).
        """

    def load_all(self, streams: Sequence[str]) -> Mapping[str, Sequence[StoredEvent]]:
        """Return the events of many streams, in one query; those without events are left out."""

    def version(self, stream: str) -> int:
        """Return the version of the stream's last event; `EMPTY_STREAM` for none."""

    def head(self) -> int:
        """Return the position of the last event that is committed by now; 0 for none.

        Gives positions to committed events that have none yet, and waits for somebody else who is at it.
        """

    def sequence(self) -> int:
        """Return the last position that there is; 0 for none. Waits for nobody.

        Gives positions to committed events that have none yet, unless somebody else is at it. For those
        who look again soon.
        """

    def identities_at(self, positions: Collection[int]) -> Mapping[int, str]:
        """Return ``stream@version`` of the events at these positions; those without an event are left out."""

    def waiting(self) -> Waiting:
        """Return how many committed events wait for a position, since when, and who keeps them from it.

        For status pages, health checks and metrics: it gives no positions, and waits for nobody.
        """

    def now(self) -> datetime:
        """Return the time by the clock that events are recorded at, aware; a host's may be another one."""

    def read(self) -> Reader:
        """Return a reader over the whole log, to be narrowed by its methods."""

    def fetch(self, selection: Selection) -> Sequence[StoredEvent]:
        """Return the events of a selection, at most ``selection.limit`` of them.

        They end with the event with which payloads and metadata together reach ``selection.max_bytes``. So
        there are no more of them if neither of the two is reached.
        """

    def subscribe(self, *, after: int = 0) -> Subscription:
        """Iterate over the log behind a position, live. The same as ``read().after(after).subscribe()``."""

    @property
    def answers(self) -> Answers:
        """What was answered to commands with an idempotency key, kept beside the events."""

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """What is raised when the connection to the store is gone, and may come back."""

    def reconnect(self) -> None:
        """Drop a connection that is gone, so that the next call makes a new one."""

    def begun_anew(self, work: Callable[[], T]) -> T:
        """Do work that is a transaction of its own, and do it again if it is ended because of others.

        A few times; and not inside a transaction of the caller's, which would be gone as a whole.
        """

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call back when what was done so far is committed: at once, if it is already."""


def refuse_contradictions(appends: Sequence[Append]) -> None:
    """Check that a stream that comes up again expects what its earlier appends lead to, and that all times
    are moments.

    Raises:
        ValueError: it expects another version.
        InvalidMessage: a ``recorded_at`` or ``occurred_at`` has no time zone.
    """
    reached: dict[str, int | ExpectedVersion] = {}
    checked = b""
    for append in appends:
        for event in append.events:
            if (
                event.recorded_at is not None
            ):  # It is history, whose metadata may be older than this rule.
                refuse_naive(event.recorded_at, "recorded_at")
            elif event.metadata is not checked:  # The events of one commit have the same.
                checked = event.metadata
                refuse_naive_in(checked)
        before = reached.get(append.stream)
        expected = append.expected_version
        if before is not None and expected not in (before, ExpectedVersion.ANY):
            raise ValueError(
                f"{append.stream} is in the batch before, which leads to version {before}, and then "
                f"again with the expected version {expected}."
            )
        if before is None and isinstance(expected, int):
            before = expected
        elif before is None:
            before = EMPTY_STREAM if expected is ExpectedVersion.NONE else expected
        reached[append.stream] = before + len(append.events) if isinstance(before, int) else before
