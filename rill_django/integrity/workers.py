"""Work in several processes, each with database connections of its own.

This module is imported by new processes before Django is set up there, so it imports no models.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

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

    Args:
        work: a function of a module, so that it can be found there.
        using: alias of the database.

    Raises:
        ImproperlyConfigured: the settings are of no module that a new process could read.
        BrokenProcessPool: a process was killed.
    """
    module = getattr(settings, "SETTINGS_MODULE", None)
    if module is None:
        raise ImproperlyConfigured(
            "Several workers need settings in a module, which DJANGO_SETTINGS_MODULE names."
        )
    # Never a fork: connections and threads do not survive one.
    executor = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(module, using, str(connections[using].settings_dict["NAME"])),
    )
    try:
        futures: dict[Future[R], P] = {executor.submit(work, using, one): one for one in parts}
        for future in as_completed(futures):
            # Taken out, so that the results do not pile up.
            yield futures.pop(future), future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _start(settings_module: str, using: str, name: str) -> None:
    """Set up a new process for the database that its parent is on: in a test, the test's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    django.setup()
    connections[using].settings_dict["NAME"] = name
    atexit.register(connections.close_all)
