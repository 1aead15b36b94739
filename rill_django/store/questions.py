"""A command, or an event method, that asks a database is refused: whatever the statement, on any connection.

Every connection gets a wrapper of its statements when it is opened, which has nothing to say unless the
domain is deciding in this thread or task. Aggregates are read outside of that (`domain.deciding.outside`).
The same wrapper says of a log that is not migrated what is to be done: no statement gets past it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from rill_django.domain.deciding import QueryInCommand, deciding, who_decides
from rill_django.store.migrated import not_migrated

_MOST = 300
"""Characters of a statement that an error shows."""


def refuse_in_commands() -> None:
    """Refuse statements of commands and event methods on connections that are open, or will be."""
    connection_created.connect(_opened, dispatch_uid="rill_django.store.questions")
    for connection in connections.all(initialized_only=True):
        _watch(connection)


def _opened(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _watch(connection)


def _watch(connection: BaseDatabaseWrapper) -> None:
    wrappers = connection.execute_wrappers
    if _refuse not in wrappers:
        # In front, since whoever adds one for a while takes the last one away.
        wrappers.insert(0, _refuse)


def _refuse(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    if deciding.get() is not None and not _is_of_a_cache(sys._getframe(1)):
        statement = " ".join(str(sql).split())
        if len(statement) > _MOST:
            statement = f"{statement[:_MOST]}…"
        raise QueryInCommand(str(who_decides()), statement)
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        told = not_migrated(error, sql, context["connection"].alias)
        if told is None:
            raise
        raise told from None


def _is_of_a_cache(frame: FrameType | None) -> bool:
    """Whether a statement is that of Django's cache in a database, which other packages look into unasked."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "django.core.cache.backends.db":
            return True
        frame = frame.f_back
    return False
