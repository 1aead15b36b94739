"""What each database says about a violated constraint."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from django.db import IntegrityError


class Kind(Enum):
    """What a constraint demands of rows."""

    UNIQUE = "unique"
    CHECK = "check"
    EXCLUSION = "exclusion"
    FOREIGN_KEY = "foreign key"


class Told(NamedTuple):
    """What an error tells of the constraint.

    Attributes:
        kind: which kind it is.
        table: its table, or empty.
        name: its name in the database, or empty.
        places: its columns, each behind its table, as SQLite lists them; or empty.
        value: something that is the same text only if the values are the same.
    """

    kind: Kind
    table: str = ""
    name: str = ""
    places: str = ""
    value: str = ""

    def columns(self, table: str) -> frozenset[str]:
        """Return the columns that are listed, if they are of this table; there may be any character."""
        before = f"{table}."
        if not self.places.startswith(before):
            return frozenset()
        return frozenset(self.places[len(before) :].split(f", {before}"))


def told_by(vendor: str, error: IntegrityError) -> Told | None:
    """Return what the error tells; ``None`` if it is about something else, like a missing value."""
    read = _READERS.get(vendor)
    return read(error) if read else None


_SQLSTATES = {
    "23505": Kind.UNIQUE,
    "23514": Kind.CHECK,
    "23P01": Kind.EXCLUSION,
    "23503": Kind.FOREIGN_KEY,
    "23001": Kind.FOREIGN_KEY,
}


def _postgresql(error: IntegrityError) -> Told | None:
    diagnostics: Any = getattr(error.__cause__, "diag", None)
    kind = _SQLSTATES.get(getattr(diagnostics, "sqlstate", None) or "")
    if kind is None:
        return None
    return Told(
        kind,
        diagnostics.table_name or "",
        diagnostics.constraint_name or "",
        value=diagnostics.message_detail or "",
    )


_SQLITE = re.compile(
    r"(?P<kind>UNIQUE|CHECK|FOREIGN KEY) constraint failed: (?P<what>.+)", re.DOTALL
)
_INDEX = re.compile(r"index '(?P<name>.+)'")


def _sqlite(error: IntegrityError) -> Told | None:
    found = _SQLITE.fullmatch(str(error))
    if found is None:
        return None
    kind, what = Kind(found["kind"].lower()), found["what"]
    if kind is Kind.CHECK:
        return Told(kind, name=what)
    if index := _INDEX.fullmatch(what):
        return Told(kind, name=index["name"])
    return Told(kind, places=what)


# Only the end is sure: the duplicate value may be any text.
_MYSQL = {
    1062: (
        Kind.UNIQUE,
        re.compile(r".* for key '(?:(?P<table>[^']+)\.)?(?P<name>[^'.]+)'", re.DOTALL),
    ),
    3819: (Kind.CHECK, re.compile(r"Check constraint '(?P<name>.+)' is violated\.")),
    4025: (
        Kind.CHECK,
        re.compile(r"CONSTRAINT `(?:.+\.)?(?P<name>[^`]+)` failed for `[^`]+`\.`(?P<table>[^`]+)`"),
    ),
    **dict.fromkeys(
        (1451, 1452),
        (
            Kind.FOREIGN_KEY,
            re.compile(
                r".*\(`[^`]+`\.`(?P<table>[^`]+)`, CONSTRAINT `(?P<name>[^`]+)` .*", re.DOTALL
            ),
        ),
    ),
}


def _mysql(error: IntegrityError) -> Told | None:
    number, text = (*error.args, None, "")[:2]
    if number not in _MYSQL:
        return None
    kind, pattern = _MYSQL[number]
    found = pattern.fullmatch(str(text))
    if found is None:
        return None
    named = found.groupdict()
    return Told(kind, named.get("table") or "", named["name"], value=str(text))


_READERS: dict[str, Callable[[IntegrityError], Told | None]] = {
    "postgresql": _postgresql,
    "sqlite": _sqlite,
    "mysql": _mysql,
}
