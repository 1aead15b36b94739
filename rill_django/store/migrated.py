"""A log whose tables are not there, or older than the code: whoever asks is told to migrate."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from django.db import DatabaseError, ProgrammingError

from rill_django.domain.errors import RillError

_PREFIX = "rill_django_"
_FIRST_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\(?\s*[\"`]?(\w+)", re.IGNORECASE)
_STATES = frozenset(("42P01", "42703", "3F000"))
"""Of PostgreSQL: no such table, column, schema."""
_NUMBERS = frozenset((1054, 1146))
"""Of MySQL and MariaDB: no such column, table."""
_TEXTS = ("no such table", "no such column", "has no column named")


class NotMigrated(RillError, ProgrammingError):
    """A table of the library, or a column of one, is not there.

    Attributes:
        using: alias of the database.
        reason: what the database says.
    """

    def __init__(self, using: str, reason: str) -> None:
        self.using = using
        self.reason = reason
        super().__init__(
            f"The tables of rill_django in the database {using!r} are not those of this release: {reason}. "
            f"{cure(using)}"
        )

    def __reduce__(self) -> Any:
        return type(self), (self.using, self.reason)


def cure(using: str) -> str:
    """Return, in words, what to do about it."""
    return f"Run: manage.py migrate{'' if using == 'default' else f' --database {using}'}"


def not_migrated(error: DatabaseError, sql: Any, using: str) -> NotMigrated | None:
    """Return what to raise in place of an error of the database; ``None``: it is another matter.

    Args:
        error: of Django's.
        sql: the statement.
        using: alias of the database.
    """
    cause = error.__cause__
    if cause is None or not _is_missing(cause):
        return None
    text = next(iter(str(error).strip().splitlines()), "")
    if _PREFIX not in text:
        # A column by itself. Of an alias's table only the statement can tell.
        table = _FIRST_TABLE.search(str(sql))
        if table is None or not table[1].startswith(_PREFIX):
            return None
    return NotMigrated(using, text)


def _is_missing(error: BaseException) -> bool:
    """Whether a driver says that a table or a column is not there. That of a right is another matter."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state in _STATES
    if isinstance(error, sqlite3.OperationalError):
        return any(one in str(error) for one in _TEXTS)
    return bool(error.args) and error.args[0] in _NUMBERS
