"""What whoever runs projections is told from outside, and tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Progress = Callable[[str, int, int], object]
"""Told a projection's name, its position, and the log's head."""


class Stop(Protocol):
    """Says when to stop; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Whether to stop now."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be told, at most so many seconds; return whether to stop now."""
