"""The sequencer's lock on MySQL and MariaDB: by name, and held by a connection, not by a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.dialect import IDLE_SECONDS, POSITIONS, STATEMENT_SECONDS

# Server-wide, so it carries the database's name; no longer than the 64 characters that are allowed.
_LOCK = f"SHA1(CONCAT(DATABASE(), '.{POSITIONS}'))"

# Before the lock is asked for: from its first moment on, one who does not go on is ended.
_LIMIT = (
    "SET @rill_django_wait = @@SESSION.wait_timeout, SESSION wait_timeout = {idle:d}",
    ", @rill_django_statement = @@SESSION.max_statement_time, "
    "SESSION max_statement_time = {statement:d}",
)
_UNLIMIT = (
    "SET {release}SESSION wait_timeout = @rill_django_wait",
    ", SESSION max_statement_time = @rill_django_statement",
)
_RELEASE = f"@rill_django_released = RELEASE_LOCK({_LOCK})"


@contextmanager
def having_lock(connection: BaseDatabaseWrapper, cursor: CursorWrapper) -> Iterator[bool]:
    """Have the lock inside the ``with`` block; gives whether it was free.

    Outside a transaction the server ends a connection that has it and does not go on.
    """
    parts = 2 if connection.mysql_is_mariadb else 1  # type: ignore[attr-defined]
    is_limited = not connection.in_atomic_block
    if is_limited:
        cursor.execute(
            "".join(_LIMIT[:parts]).format(idle=IDLE_SECONDS, statement=STATEMENT_SECONDS)
        )
    is_ours = False
    try:
        cursor.execute(f"SELECT GET_LOCK({_LOCK}, 0)")
        is_ours = cursor.fetchone()[0] == 1
        yield is_ours
    finally:
        release = _RELEASE if is_ours else ""
        if is_limited:
            separator = ", " if is_ours else ""
            cursor.execute("".join(_UNLIMIT[:parts]).format(release=release + separator))
        elif is_ours:
            cursor.execute(f"SET {release}")


def lock_holder(cursor: CursorWrapper) -> str:
    """See `Dialect.sequencer_holder`."""
    cursor.execute(
        "SELECT holder.id, process.user, process.command, process.time "
        f"FROM (SELECT IS_USED_LOCK({_LOCK}) AS id) AS holder "
        "LEFT JOIN information_schema.processlist process ON process.id = holder.id"
    )
    number, user, command, seconds = cursor.fetchone()
    if number is None:
        return ""
    about = f" (of {user}, {command} for {seconds:d} s)" if user else ""
    return (
        f"The server's connection {number}{about} holds the sequencer's lock and does not go on. "
        f"End it: KILL {number}"
    )
