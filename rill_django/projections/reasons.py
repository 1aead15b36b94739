"""What a kept traceback says in one line."""

from __future__ import annotations

import re

_TRACEBACK = "Traceback (most recent call last):\n"
_HANDLER_FAILED = re.compile(r"^[\w.]+\.HandlerFailed: .+? \(\S+, position \w+\): ")


def reason_of(traceback: str) -> str:
    """Return the line of a traceback that says what happened; empty if it is.

    Not what the database adds in further lines, nor that a handler failed on the event, which is told
    beside.
    """
    lines = [line for line in traceback.rpartition(_TRACEBACK)[2].splitlines() if line.strip()]
    error = next((line for line in lines if not line.startswith(" ")), "").strip()
    return _HANDLER_FAILED.sub("", error) or error


def reason_of_error(error: BaseException) -> str:
    """Return the first line of what an error says, without that a handler failed on the event."""
    cause = error.__cause__ if type(error).__name__ == "HandlerFailed" else None
    found = cause or error
    text = next(iter(str(found).strip().splitlines()), "")
    return f"{type(found).__name__}: {text}"
