"""Who does the parts of a verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django import processes

P = TypeVar("P")
R = TypeVar("R")

Work = Callable[[str, P], R]
"""Gets the alias of a database and what to do there."""


def can_be_shared(using: str) -> bool:
    """Whether other processes can open the database: one that is in memory they cannot."""
    connection = connections[using]
    assert isinstance(connection, BaseDatabaseWrapper)
    return connection.vendor != "sqlite" or not connection.is_in_memory_db()  # type: ignore[attr-defined]


def one_by_one(work: Work[P, R], using: str, parts: Iterable[P]) -> Iterator[tuple[P, R]]:
    """Yield each part with its result, done in this process."""
    for part in parts:
        yield part, work(using, part)


def in_processes(
    work: Work[P, R], using: str, parts: Iterable[P], workers: int
) -> Iterator[tuple[P, R]]:
    """Yield each part with its result as they get ready, done in so many new processes.

    Raises:
        ImproperlyConfigured, BrokenProcessPool: see `rill_django.processes.in_processes`.
    """
    yield from processes.in_processes(partial(_work_elsewhere, work, using), parts, workers)


def _work_elsewhere(work: Work[P, R], using: str, part: P, tell: processes.Tell, stop: object) -> R:
    return work(using, part)
