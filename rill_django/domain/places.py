"""Where something is written: file and line, as editors follow them."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any


def place_in(code: CodeType, offset: int) -> str:
    """Return ``file:line`` of an instruction."""
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return f"{code.co_filename}:{next(lines, code.co_firstlineno)}"


def place_of(function: Callable[..., Any]) -> str:
    """Return ``file:line`` of a function, or of its first decorator."""
    code: CodeType = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
