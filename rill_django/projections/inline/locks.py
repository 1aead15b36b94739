"""Commands share an inline projection with each other; whoever replaces its rows has it alone.

Not by the checkpoint's row on PostgreSQL: many short shared locks would be written to it, and would
never let anybody have it alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.projections.checkpoint import INLINE, Checkpoint
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.places import connection_instead
from rill_django.store.orm import DjangoEventStore
from rill_django.store.postgresql import isolation_level
from rill_django.store.postgresql_cursors import look_up_there, names_of
from rill_django.store.protocol import EventStore

CHECKPOINTS = Checkpoint._meta.db_table
FIRST_PATIENCE, LONGEST_PATIENCE = 0.2, 2.0
"""Seconds to wait for commands that are under way, while new ones wait behind: then they go first."""

_PURPOSE = 2
"""Second part of the advisory lock's key; 0 and 1 are for positions and for places."""

# The whole database shares these locks, and each schema has projections of the same names.
_KEY = f"hashtext({{}} || ' ' || '{CHECKPOINTS}'::regclass::oid)"

_SHARE = f"""
SELECT pg_advisory_xact_lock_shared({_KEY.format("wanted.name")}, {_PURPOSE})
FROM unnest(%s::text[]) AS wanted(name)
"""


def share(connection: BaseDatabaseWrapper, names: Sequence[str]) -> dict[str, int]:
    """Share these projections until the end of the transaction; return the versions of their rows.

    Args:
        connection: inside a transaction.
        names: in order, the same for everybody.

    Returns:
        The version of the code that has made the rows, 0: not all of them are made yet. Projections
        without a checkpoint are left out.
    """
    places = ", ".join(["%s"] * len(names))
    conditions = f"name IN ({places}) AND is_beside = %s AND {CHECKPOINTS}.partition = 0"
    columns = f"SELECT name, version, partitions FROM {CHECKPOINTS}"
    statement = f"{columns} WHERE {conditions}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_SHARE, (list(names),))
        elif connection.vendor == "mysql":
            # By the index: a scan would wait for the checkpoints of workers.
            statement = (
                f"{columns} FORCE INDEX (rill_django_checkpoint_unique) WHERE {conditions} "
                "LOCK IN SHARE MODE"
            )
        cursor.execute(statement, (*names, False))
        return {
            name: version if partitions == INLINE else 0
            for name, version, partitions in cursor.fetchall()
        }


def have_alone(
    connection: BaseDatabaseWrapper, name: str, *, patience: float | None = None
) -> None:
    """Have a projection alone until the end of the transaction: no command applies anything to it.

    What was applied before is committed by then. The first thing in a transaction.

    Args:
        connection: inside a transaction.
        name: of the projection.
        patience: seconds to wait for commands that are under way; ``None``: as the database is set up.

    Raises:
        OperationalError: it took longer.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _have_alone_on_postgresql(connection, cursor, name, patience)
        elif connection.vendor == "mysql":
            _have_alone_on_mysql(cursor, name, patience)
        else:
            # Whoever writes is alone.
            cursor.execute(f"UPDATE {CHECKPOINTS} SET version = version WHERE name = %s", (name,))


def _have_alone_on_postgresql(
    connection: BaseDatabaseWrapper, cursor: CursorWrapper, name: str, patience: float | None
) -> None:
    if len(connection.atomic_blocks) == 1 and isolation_level(connection) != "READ_COMMITTED":
        # Otherwise what is committed while we wait would never be seen here.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.execute("SELECT current_setting('lock_timeout')")
    (before,) = cursor.fetchone()
    if patience is not None:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", (f"{patience * 1000:.0f}ms",))
    cursor.execute(f"SELECT pg_advisory_xact_lock({_KEY.format('%s')}, {_PURPOSE})", (name,))
    if patience is not None:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", (before,))


def _have_alone_on_mysql(cursor: CursorWrapper, name: str, patience: float | None) -> None:
    cursor.execute("SELECT @@SESSION.innodb_lock_wait_timeout")
    (before,) = cursor.fetchone()
    if patience is not None:
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {math.ceil(patience)}")
    try:
        cursor.execute(
            f"SELECT id FROM {CHECKPOINTS} FORCE INDEX (rill_django_checkpoint_unique) "
            "WHERE name = %s AND is_beside = %s FOR UPDATE",
            (name, False),
        )
        cursor.fetchall()
    finally:
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {before:d}")


def has_old_snapshot(connection: BaseDatabaseWrapper) -> bool:
    """Whether the caller's transaction does not see what others have committed since it began.

    MySQL shows it to statements that lock, as those for the rows of a `RowProjection` do.
    """
    if connection.vendor != "postgresql" or not connection.in_atomic_block:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return bool(cursor.fetchone()[0] in ("repeatable read", "serializable"))


def patience_after(failures: int) -> float:
    """Return how many seconds to wait for commands under way, after so many tries."""
    patience: float = min(FIRST_PATIENCE * 2 ** min(failures, 10), LONGEST_PATIENCE)
    return patience


@contextmanager
def another_connection(using: str) -> Iterator[BaseDatabaseWrapper]:
    """Give one more connection to a database, for the same schema, and close it in the end."""
    names = names_of(connections[using])
    own = connections.create_connection(using)
    assert isinstance(own, BaseDatabaseWrapper)
    try:
        if names is not None:
            look_up_there(own, names)
        yield own
    finally:
        own.close()


def settled_head(using: str, store: EventStore, known: int = 0) -> int:
    """Return the log's last position, when all that is committed by now has one.

    On a connection of its own, since positions are given in a transaction of its own; but on SQLite, where
    they come with the append, and where a second connection could not write now.

    Args:
        using: alias of the log's database.
        store: the log.
        known: the head from before the transaction. Inside a ``TestCase`` nothing else can be known.
    """
    connection = connections[using]
    assert isinstance(connection, BaseDatabaseWrapper)
    if connection.vendor == "sqlite":
        return max(known, store.head())
    if len(connection.atomic_blocks) > 1:
        return known
    assert isinstance(store, DjangoEventStore)
    with another_connection(using) as own, connection_instead(using, own):
        return store.head()


def keep_commands_out(
    projection: Projection, store: EventStore, known: int, failures: int | None = None
) -> int:
    """Have a projection alone, as `have_alone` does; return the position of its rows.

    Args:
        projection: whose rows are to be replaced.
        store: the log.
        known: its head, from before the transaction.
        failures: how often it was in vain before, which makes it wait longer for commands under way;
            ``None``: wait as long as the database is set up to.
    """
    patience = None if failures is None else patience_after(failures)
    have_alone(connections[projection.using], projection.name, patience=patience)
    return settled_head(projection.using, store, known)


@contextmanager
def standing_still(projection: Projection, store: EventStore) -> Iterator[int | None]:
    """Hold back commands that change the projection's rows, inside the ``with`` block.

    Gives the position of the rows. It is ``None`` on SQLite, where any snapshot is of one moment, and
    shows its position itself.
    """
    using = projection.using
    if connections[using].vendor == "sqlite":
        yield None
        return
    failures = 0
    while True:
        with another_connection(using) as guard:
            guard.set_autocommit(False)
            try:
                have_alone(guard, projection.name, patience=patience_after(failures))
            except OperationalError:
                failures += 1
            else:
                yield settled_head(using, store)
                return
        time.sleep(patience_after(failures))
