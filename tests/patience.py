"""Waiting for what others do, however busy the machine is: for that it has come about, not for a time.

The time at which a wait is given up is the end of all hope, and says nothing about how fast anything is.
"""

import re
import time

from django.db import connection

HOPE_SECONDS = 100


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
        if connection.vendor == "mysql":
            return _waiting_on_mysql(cursor)
        # A transaction would see what there was when it looked first.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]


def _waiting_on_mysql(cursor):
    # Not `innodb_trx`: it looks anew only when nobody on the whole server has asked for a moment.
    cursor.execute("SHOW ENGINE INNODB STATUS")
    blocks = cursor.fetchone()[2].split("---TRANSACTION")[1:]
    found = [re.search(r"thread id (\d+)", block) for block in blocks if "LOCK WAIT" in block]
    waiting = {int(one[1]) for one in found if one}
    cursor.execute("SELECT id, state FROM information_schema.processlist WHERE db = DATABASE()")
    return sum(
        id in waiting or re.fullmatch("User lock|Waiting for.*lock", state or "") is not None
        for id, state in cursor.fetchall()
    )


def wait_until_locked_out(number=1):
    """Wait until so many sessions wait for a lock: they are in the database, where nobody can be told."""
    wait_until(lambda: waiting_for_locks() >= number)
