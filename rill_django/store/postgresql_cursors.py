"""Cursors of PostgreSQL that look names up where they should, whatever their backend does about it.

With a schema for each tenant, a backend may set ``search_path`` anew with every cursor that it opens. What
is set on one cursor says nothing about the next, then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

_OPENING = ("cursor", "chunked_cursor")
_OPENED_BY = (*_OPENING, "_cursor", "create_cursor")

Prepare = Callable[[Any], object]
"""Prepares the session, with a cursor of the driver's own."""


def sets_path_itself(connection: BaseDatabaseWrapper) -> bool:
    """Whether the connection's backend opens cursors in a way of its own, and not as Django's does."""
    from django.db.backends.postgresql.base import DatabaseWrapper

    own = type(connection)
    return any(
        name in vars(connection) or getattr(own, name) is not getattr(DatabaseWrapper, name)
        for name in _OPENED_BY
    )


@contextmanager
def prepared_cursors(connection: BaseDatabaseWrapper, prepare: Prepare) -> Iterator[None]:
    """Have the session prepared for every cursor that is opened inside the ``with`` block."""
    before = {name: vars(connection).get(name) for name in _OPENING}
    prepare_cursors(connection, prepare)
    try:
        yield
    finally:
        for name, own in before.items():
            if own is None:
                delattr(connection, name)
            else:
                setattr(connection, name, own)


def prepare_cursors(connection: BaseDatabaseWrapper, prepare: Prepare) -> None:
    """Have the session prepared for every cursor that the connection opens from now on."""
    for name in _OPENING:
        setattr(connection, name, _preparing(connection, getattr(connection, name), prepare))


def _preparing(
    connection: BaseDatabaseWrapper, opened: Callable[..., Any], prepare: Prepare
) -> Callable[..., Any]:
    def open_cursor(*args: Any, **options: Any) -> Any:
        found = opened(*args, **options)
        if not connection.needs_rollback:  # Otherwise whatever comes next is refused.
            with connection.wrap_database_errors, connection.connection.cursor() as cursor:
                prepare(cursor)
        return found

    return open_cursor


def begin_at(connection: BaseDatabaseWrapper, level: str | int | None) -> Any:
    """Have transactions begin at an isolation level, e.g. ``READ_COMMITTED``; return that of before.

    By the driver, with the statement that begins one: a backend may send queries with every cursor, and
    behind a query it would be too late. Outside any transaction.
    """
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    connection.ensure_connection()
    before = connection.connection.isolation_level
    found = IsolationLevel[level] if isinstance(level, str) else level
    connection.connection.isolation_level = found
    return before


@contextmanager
def begun_at(connection: BaseDatabaseWrapper, level: str) -> Iterator[None]:
    """Have transactions inside the ``with`` block begin at an isolation level; see `begin_at`."""
    before = begin_at(connection, level)
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            connection.connection.isolation_level = before


class Names(NamedTuple):
    """Where a connection looks names up: something to tell another process.

    Attributes:
        path: its ``search_path``; empty: as that of any new connection.
        schema_name: what a backend with a schema for each tenant calls it, if it says so.
        tenant: of such a backend, likewise.
        includes_public: likewise.
    """

    path: str
    schema_name: Any
    tenant: Any
    includes_public: bool


def names_of(connection: BaseDatabaseWrapper) -> Names | None:
    """Return where a connection looks names up; nothing on a database without schemas."""
    if connection.vendor != "postgresql":
        return None
    path = ""
    # What has not been connected has not set anything either, but what its attributes say.
    if connection.connection is not None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('search_path')")
            path = cursor.fetchone()[0]
    return Names(
        path,
        getattr(connection, "schema_name", None),
        getattr(connection, "tenant", None),
        getattr(connection, "include_public_schema", True),
    )


def look_up_there(connection: BaseDatabaseWrapper, names: Names) -> None:
    """Have another connection, which serves nothing else, look names up at the same place.

    By the backend's own means, if it has some that are known, and otherwise by setting the path.
    """
    if names.tenant is not None and hasattr(connection, "set_tenant"):
        connection.set_tenant(names.tenant, names.includes_public)
    elif names.schema_name is not None:
        connection.schema_name = names.schema_name  # type: ignore[attr-defined]
    if not names.path:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path')")
        if cursor.fetchone()[0] == names.path:
            return

    def set_path(cursor: Any) -> None:
        # In a transaction for its time only, so that no pooler gives it to others.
        is_local = connection.in_atomic_block or not connection.autocommit
        cursor.execute("SELECT set_config('search_path', %s, %s)", (names.path, is_local))

    prepare_cursors(connection, set_path)
