"""The contestants: rill_django, its peers, and the floor of hand-written SQL.

Each runs in a process of its own, on an interpreter and a database of its own; a module is imported
there only.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from benchmarks.contestants.base import Contestant

MODULES = {
    "rill": "benchmarks.contestants.rill:Rill",
    "rill-cached": "benchmarks.contestants.rill:CachedRill",
    "floor": "benchmarks.contestants.floor:Floor",
    "eventsourcing": "benchmarks.contestants.eventsourcing:EventSourcing",
    "eventsourcing-django": "benchmarks.contestants.eventsourcing_django:EventSourcingDjango",
}


def contestant(name: str, database: Mapping[str, Any]) -> Contestant:
    """Return a contestant, not connected yet.

    Args:
        name: one of `MODULES`.
        database: an entry of Django's ``DATABASES``.
    """
    module, member = MODULES[name].split(":")
    made: Contestant = getattr(import_module(module), member)(database)
    return made
