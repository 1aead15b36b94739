"""The contestants: rill_django, its peers, and the floor of hand-written SQL.

Each runs in a process of its own, on an interpreter and a database of its own; a module is imported
there only.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from benchmarks.work import BANK, FLIGHTS

MODULES = {
    BANK: {
        "rill": "benchmarks.contestants.rill:Rill",
        "rill-cached": "benchmarks.contestants.rill:CachedRill",
        "floor": "benchmarks.contestants.floor:Floor",
        "eventsourcing": "benchmarks.contestants.eventsourcing:EventSourcing",
        "eventsourcing-django": "benchmarks.contestants.eventsourcing_django:EventSourcingDjango",
    },
    FLIGHTS: {
        "rill": "benchmarks.flights.rill:Rill",
        "eventsourcing": "benchmarks.flights.eventsourcing:EventSourcing",
    },
}


def contestant(domain: str, name: str, database: Mapping[str, Any]) -> Any:
    """Return a contestant, not connected yet: that of a bank, or of the flights.

    Args:
        domain: one of `MODULES`.
        name: one of the domain's.
        database: an entry of Django's ``DATABASES``.
    """
    module, member = MODULES[domain][name].split(":")
    return getattr(import_module(module), member)(database)
