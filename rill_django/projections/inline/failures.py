"""Statements that fail, noted while the database can still be asked about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import DatabaseError, IntegrityError, models
from django.db.backends.base.base import BaseDatabaseWrapper

Model = type[models.Model]

_SAVEPOINT = "rill_django_which_index"


class Failure(NamedTuple):
    """A statement that failed, and what the error does not tell.

    Attributes:
        text: of the error.
        statement: the SQL, which names the table.
        constraint: which of several unique constraints of the same fields it was, or empty.
    """

    text: str = ""
    statement: str = ""
    constraint: str = ""


def failure_of(error: DatabaseError, failures: Sequence[Failure]) -> Failure:
    """Return what was noted of the error; an empty one if nothing was."""
    text = str(error)
    return next((one for one in reversed(failures) if one.text == text), Failure())


@contextmanager
def noting_failures(
    found: Iterable[Model], connection: BaseDatabaseWrapper
) -> Iterator[list[Failure]]:
    """Note statements that fail inside the ``with`` block, where the database's errors say too little.

    MySQL's do not tell the table. SQLite's tell columns, and there may be several indexes of the same.

    Args:
        found: the models whose rows are written.
        connection: to the database.
    """
    failures: list[Failure] = []
    alike = _alike(found) if connection.vendor == "sqlite" else []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        try:
            return execute(sql, params, many, context)
        except DatabaseError as error:
            constraint = ""
            if alike and isinstance(error, IntegrityError) and not many:
                constraint = _which(alike, str(error), sql, params, connection)
            failures.append(Failure(str(error), sql, constraint))
            raise

    if connection.vendor != "mysql" and not alike:
        yield failures
        return
    with connection.execute_wrapper(note):
        yield failures


def _alike(found: Iterable[Model]) -> list[list[str]]:
    """Return the names of constraints that differ by nothing but their conditions."""
    alike: defaultdict[Any, list[str]] = defaultdict(list)
    for model in found:
        for one in model._meta.constraints:
            if isinstance(one, models.UniqueConstraint) and one.fields:
                alike[model, frozenset(one.fields)].append(one.name)
    return [names for names in alike.values() if len(names) > 1]


def _which(
    alike: Iterable[Sequence[str]], text: str, sql: str, params: Any, connection: Any
) -> str:
    """Find the index without which the statement fails no more, or fails otherwise.

    It is dropped in a savepoint, which gives it back. Where that cannot be done, since somebody is just
    reading the table, the answer is empty.
    """
    quote = connection.ops.quote_name
    cursor = connection.create_cursor()  # Django's own, which notes nothing.
    cursor.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        for names in alike:
            for name in names:
                cursor.execute(f"DROP INDEX {quote(name)}")
                if _fails_with(cursor, sql, params, connection) != text:
                    return name
        return ""
    except connection.Database.OperationalError:
        return ""
    finally:
        cursor.execute(f"ROLLBACK TO {_SAVEPOINT}")
        cursor.execute(f"RELEASE {_SAVEPOINT}")
        cursor.close()


def _fails_with(cursor: Any, sql: str, params: Any, connection: Any) -> str | None:
    try:
        cursor.execute(sql, params)
    except connection.Database.IntegrityError as error:
        return str(error)
    return None
