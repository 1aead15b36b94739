"""What a contestant can do. Standard library only: it is imported by the peers' interpreters, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Contestant(Protocol):
    """A bank whose accounts are event-sourced."""

    def install(self) -> None:
        """Make the tables, and leave no connection open."""

    def close(self) -> None:
        """Close the connections; they are opened again by what needs them."""

    def fill(self, numbers: Sequence[str], events: int) -> None:
        """Make accounts with so many events each, the first of which opens them."""

    def meet(self, number: str) -> None:
        """Get to know an account beforehand, if that is of any use later."""

    def deposit(self, number: str) -> None:
        """Carry out a command: load the account, decide, append one event."""

    def begin(self, number: str) -> Any:
        """Open a new account, and return it committed."""

    def continue_with(self, account: Any) -> Any:
        """Append one event to an account in memory, and return it committed."""

    def pending(self, number: str, events: int) -> Any:
        """Return a new account with so many events that are not stored yet."""

    def commit(self, account: Any) -> None:
        """Store the pending events of an account."""

    def load(self, number: str) -> int:
        """Load an account, and return how many events it is made of."""

    def read(self, events: int) -> int:
        """Read the log from its beginning into typed events, and return how many there were."""

    def identities_after(self, position: int) -> Sequence[tuple[int, str]]:
        """Return position and identity of the next events in the log, as a subscriber sees them."""
