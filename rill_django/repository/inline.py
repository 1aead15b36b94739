"""What may happen in the transaction of a commit besides the append, as the repository knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rill_django.domain.errors import RillError
from rill_django.domain.records import StoredEvent
from rill_django.store.protocol import Append


class Inline(Protocol):
    """Takes part in commits: appends the events and does what belongs to them, all or nothing."""

    def wants(self, appends: Sequence[Append]) -> bool:
        """Whether any of the events concerns it. Asked at every commit, so it has to be quick."""

    def append_all(self, appends: Sequence[Append]) -> Sequence[Sequence[StoredEvent]]:
        """Append, as `EventStore.append_all` does, and do the rest in the same transaction.

        Raises:
            Refused: a rule about more than one aggregate does not allow the events. Nothing is stored.
            WrongExpectedVersion: see `EventStore.append_all`.
        """


class Refused(RillError):
    """Events were not stored, because of a rule about more than one aggregate.

    Attributes:
        stream: whose events they are.
        reason, data: see `Rejected`.
    """

    def __init__(self, stream: str, reason: str, data: Mapping[str, Any]) -> None:
        self.stream = stream
        self.reason = reason
        self.data = data
        super().__init__(f"{stream}: {reason}")

    def __reduce__(self) -> Any:
        return type(self), (self.stream, self.reason, self.data)
