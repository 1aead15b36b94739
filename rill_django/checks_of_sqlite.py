"""System checks of SQLite: set up to fail, or to keep others waiting, where it need not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.registry import current_projections
from rill_django.store.orm import DjangoEventStore

WAL = 2
"""What a file with such a log has in its bytes 18 and 19; see SQLite's "Database File Format"."""

HINT = (
    "In the OPTIONS of this database: 'transaction_mode': 'IMMEDIATE', "
    "'init_command': 'PRAGMA journal_mode=WAL'."
)


@register(Tags.database)
def check_sqlite_databases(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Look at the databases of the log and of projections; see `check_sqlite`."""
    aliases = {DjangoEventStore().using} | {one.using for one in current_projections().named()}
    return [
        message
        for alias in sorted(aliases)
        if alias in connections
        for message in check_sqlite(connections[alias])
    ]


def check_sqlite(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """``rill.W001``: no write lock from the start. ``rill.W010``: no write-ahead log."""
    if connection.vendor != "sqlite":
        return []
    messages: list[CheckMessage] = []
    options = connection.settings_dict.get("OPTIONS", {})
    if options.get("transaction_mode") != "IMMEDIATE":
        messages.append(
            Warning(
                f"SQLite, the database {connection.alias!r}, begins transactions without the write lock, so "
                "that two at once may fail with 'database is locked' instead of waiting for each other.",
                hint=HINT,
                id="rill.W001",
            )
        )
    if not _has_write_ahead_log(connection.settings_dict["NAME"], options):
        messages.append(
            Warning(
                f"SQLite, the database {connection.alias!r}, keeps no write-ahead log: who reads waits for "
                "those who write, and they for readers, so that pages and workers are in each other's way.",
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
