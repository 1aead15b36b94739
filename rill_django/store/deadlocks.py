"""Work that begins anew when the database has ended it because of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import Dialect
from rill_django.store.pauses import pause_after

T = TypeVar("T")

TRIES = 15

ENOUGH_SECONDS = 60.0
"""After so long it is not begun anew: a database may take its time before it ends a transaction."""


class SnapshotTooOld(OperationalError):
    """A transaction cannot see what another one has committed since it began, and has to know it."""


def begun_anew(
    work: Callable[[], T],
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    *,
    tries: int = TRIES,
) -> T:
    """Do work that is a transaction of its own, and do it again if it is ended because of others.

    That is a deadlock, a failure to serialize it, or a wait for a lock that took too long. Inside a
    transaction of the caller's that is the caller's to do: all of it is gone, or sees what it sees.

    Args:
        work: begins and ends the transaction; called several times.
        connection: to the database.
        dialect: knows such an end when it sees one.
        tries: how often in all.

    Raises:
        OperationalError: the last of these, or any other.
    """
    started = time.monotonic()
    for failures in range(1, tries):
        began = time.monotonic()
        try:
            return work()
        except OperationalError as error:
            is_passing = isinstance(error, SnapshotTooOld) or dialect.begins_anew(error)
            if connection.in_atomic_block or not is_passing:
                raise
            if time.monotonic() - started > ENOUGH_SECONDS:
                raise
        pause_after(failures, min(time.monotonic() - began, 1.0))
    return work()
