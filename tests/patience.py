"""Waiting for what others do, however busy the machine is: for that it has come about, not for a time.

The time at which a wait is given up is the end of all hope, and says nothing about how fast anything is.
"""

import random
import time

from django.db import connection

HOPE_SECONDS = 100

_WAITING_FOR_LOCKS = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.processlist session "
        "LEFT JOIN information_schema.innodb_trx work ON work.trx_mysql_thread_id = session.id "
        "WHERE session.db = DATABASE() AND (work.trx_state = 'LOCK WAIT' "
        "OR session.state = 'User lock' OR session.state LIKE 'Waiting for%%lock')"
    ),
}


def wait_until(is_so, tell=lambda: "it did not come about"):
    """Wait until something is true; return what it gave.

    Args:
        is_so: asked again and again.
        tell: what to say where it never comes about.
    """
    deadline = time.monotonic() + HOPE_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, tell()
        time.sleep(0.01)
    return found


def waiting_for_locks():
    """Return how many sessions in this database wait for a lock that somebody else has."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A transaction would see what there was when it looked first.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_WAITING_FOR_LOCKS[connection.vendor])
        return cursor.fetchone()[0]


def wait_until_locked_out(number=1):
    """Wait until so many sessions wait for a lock: they are in the database, where nobody can be told."""

    def are_so_many():
        if connection.vendor == "mysql":
            # It looks anew only when nobody on the whole server has asked for a tenth of a second.
            time.sleep(random.uniform(0.11, 0.2))
        return waiting_for_locks() >= number

    wait_until(are_so_many)
