"""What ends the demo early."""

from __future__ import annotations


class DemoFailed(Exception):
    """The demo cannot go on; the text says why, and what to do."""


class DemoStopped(Exception):
    """Somebody stopped the demo before it was ready."""

    def __init__(self) -> None:
        super().__init__("Stopped. What has been recorded stays; run it again to go on from there.")
