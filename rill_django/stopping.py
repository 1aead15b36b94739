"""Being asked to stop."""

from __future__ import annotations

from typing import Protocol


class Stop(Protocol):
    """Says when to stop; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Whether to stop now."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be told, at most so many seconds; return whether to stop now."""
