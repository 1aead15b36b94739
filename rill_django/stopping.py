"""Being asked to stop."""

from __future__ import annotations

import time
from typing import Protocol


class Stop(Protocol):
    """Says when to stop; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Whether to stop now."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be told, at most so many seconds; return whether to stop now."""


class Relay:
    """Passes on what somebody else says, who is not known yet, or is another one next time."""

    def __init__(self) -> None:
        self.source: Stop | None = None

    def is_set(self) -> bool:
        """See `Stop`."""
        return self.source is not None and self.source.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """See `Stop`. Without a source it just waits."""
        if self.source is None:
            time.sleep(timeout or 0.0)
            return False
        return self.source.wait(timeout)
