"""What whoever runs projections tells."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], object]
"""Told a projection's name, its position, and the log's head."""
