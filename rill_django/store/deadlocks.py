"""Work that begins anew when the database has ended it, since it and another waited for each other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import Dialect

T = TypeVar("T")

TRIES = 5
LONGEST_PAUSE = 0.02
"""Seconds after the first deadlock; twice as many after each further one."""


def begun_anew(
    work: Callable[[], T],
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    *,
    tries: int = TRIES,
) -> T:
    """Do work that is a transaction of its own, and do it again if it ends in a deadlock.

    Inside a transaction of the caller's that is the caller's to do: all of it is gone.

    Args:
        work: begins and ends the transaction; called several times.
        connection: to the database.
        dialect: knows a deadlock when it sees one.
        tries: how often in all.

    Raises:
        OperationalError: the last deadlock, or any other.
    """
    for failures in range(1, tries):
        try:
            return work()
        except OperationalError as error:
            if connection.in_atomic_block or not dialect.is_deadlock(error):
                raise
        # Not all of them at the same moment once more.
        time.sleep(random.uniform(0, LONGEST_PAUSE * 2 ** (failures - 1)))
    return work()
