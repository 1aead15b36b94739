"""The run's own tables: what pollers did, how far they are, and one that has nothing to do with it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db import connection, transaction

_IDENTITY = {
    "postgresql": "BIGSERIAL PRIMARY KEY",
    "mysql": "BIGINT AUTO_INCREMENT PRIMARY KEY",
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
}
_TABLES = ("torture_delivery", "torture_checkpoint", "torture_unrelated")


class Delivery(msgspec.Struct, frozen=True):
    """An event as a poller saw it, in the order in which it took effect."""

    position: int
    stream: str
    version: int
    marker: str
    seen_at: float


def create(pollers: Sequence[str]) -> None:
    """Make the tables, with a checkpoint for each poller."""
    drop()
    with connection.cursor() as cursor:
        # No unique constraint: an event that is delivered twice shall be there twice.
        cursor.execute(
            f"CREATE TABLE torture_delivery (id {_IDENTITY[connection.vendor]}, "
            "poller VARCHAR(40) NOT NULL, position BIGINT NOT NULL, stream VARCHAR(255) NOT NULL, "
            "version INTEGER NOT NULL, marker VARCHAR(40) NOT NULL, "
            "seen_at DOUBLE PRECISION NOT NULL)"
        )
        cursor.execute(
            "CREATE TABLE torture_checkpoint "
            "(poller VARCHAR(40) PRIMARY KEY, position BIGINT NOT NULL)"
        )
        cursor.execute("CREATE TABLE torture_unrelated (note VARCHAR(40) NOT NULL)")
        cursor.executemany(
            "INSERT INTO torture_checkpoint (poller, position) VALUES (%s, 0)",
            [(poller,) for poller in pollers],
        )


def drop() -> None:
    """Remove the tables."""
    with connection.cursor() as cursor:
        for table in _TABLES:
            if table in connection.introspection.table_names(cursor):
                cursor.execute(f"DROP TABLE {table}")


def position_of(poller: str) -> int:
    """Return how far a poller has come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT position FROM torture_checkpoint WHERE poller = %s", (poller,))
        (position,) = cursor.fetchone()
        return int(position)


def positions() -> dict[str, int]:
    """Return how far each poller has come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT poller, position FROM torture_checkpoint")
        return dict(cursor.fetchall())


def take_effect(poller: str, old_position: int, deliveries: Sequence[Delivery]) -> bool:
    """Note deliveries and move the checkpoint, both or neither.

    Returns:
        Whether the checkpoint was at ``old_position``. A poller that was killed may have had a commit
        under way that its successor did not see.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE torture_checkpoint SET position = %s WHERE poller = %s AND position = %s",
            (deliveries[-1].position, poller, old_position),
        )
        if cursor.rowcount != 1:
            return False
        cursor.executemany(
            "INSERT INTO torture_delivery (poller, position, stream, version, marker, seen_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [(poller, *msgspec.structs.astuple(delivery)) for delivery in deliveries],
        )
    return True


def deliveries_to(poller: str) -> list[Delivery]:
    """Return what took effect, in that order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, stream, version, marker, seen_at FROM torture_delivery "
            "WHERE poller = %s ORDER BY id",
            (poller,),
        )
        return [Delivery(*row) for row in cursor.fetchall()]
