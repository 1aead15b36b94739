"""System checks of SQLite: set up to fail, or to keep others waiting, where it need not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db.backends.base.base import BaseDatabaseWrapper

WAL = 2
"""What a file with such a log has in its bytes 18 and 19; see SQLite's "Database File Format"."""

HINT = (
    "In the OPTIONS of this database: 'transaction_mode': 'IMMEDIATE', "
    "'init_command': 'PRAGMA journal_mode=WAL'."
)


def check_sqlite(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """``rill.W001``: no write lock from the start. ``rill.W010``: no write-ahead log."""
    if connection.vendor != "sqlite":
        return []
    messages: list[CheckMessage] = []
    options = connection.settings_dict.get("OPTIONS", {})
    if options.get("transaction_mode") != "IMMEDIATE":
        messages.append(
            Warning(
                "SQLite begins transactions without the write lock, so that two at once may fail with "
                "'database is locked' instead of waiting for each other.",
                hint=HINT,
                id="rill.W001",
            )
        )
    if not _has_write_ahead_log(connection.settings_dict["NAME"], options):
        messages.append(
            Warning(
                "SQLite keeps no write-ahead log here: whoever reads waits for those who write, and they "
                "for readers, so that pages and the projection worker are in each other's way.",
                hint=HINT,
                id="rill.W010",
            )
        )
    return messages


def _has_write_ahead_log(name: Any, options: dict[str, Any]) -> bool:
    """Tell it from the settings, or from the file, which keeps the mode; without connecting."""
    if "journal_mode" in str(options.get("init_command", "")).lower():
        return True  # Any mode that somebody has chosen.
    if ":memory:" in str(name) or str(name).startswith("file:"):
        return True  # In memory there is none, and an address may say anything.
    try:
        with Path(name).open("rb") as file:
            return file.read(20)[18:] == bytes((WAL, WAL))
    except OSError:
        return False
