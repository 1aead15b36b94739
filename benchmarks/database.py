"""Databases to run on: servers of our own, and their URLs as Django's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import environ

from tests import servers

# What a server that keeps its promises has; the tests' own server has none of it.
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
}

SQLITE_OPTIONS = {
    # Every commit reaches the disk, as on PostgreSQL: WAL with synchronous=FULL, SQLite's default.
    "transaction_mode": "IMMEDIATE",
    "timeout": 60,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}


@contextmanager
def postgresql(*, durable: bool) -> Iterator[str]:
    """A PostgreSQL that is gone afterwards; with ``durable`` each commit is written to the disk."""
    with servers.postgresql(settings=DURABLE if durable else None) as url:
        yield url


def settings_of(url: str) -> dict[str, Any]:
    """Return Django's settings for the database at this URL."""
    settings: dict[str, Any] = environ.Env.db_url_config(url)
    # A socket's folder comes as an option; here everybody looks for it where other hosts are.
    settings["HOST"] = settings.get("OPTIONS", {}).pop("host", settings["HOST"])
    if servers.is_sqlite(url):
        settings["OPTIONS"] = SQLITE_OPTIONS
    return settings
