"""Keys that a database takes for equal, and Python for different: by letter case, accents, blanks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from unicodedata import combining, normalize

from django.db import DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.errors import RillError
from rill_django.projections.rows.entries import Key
from rill_django.projections.rows.layout import Layout
from rill_django.projections.rows.settling import AnyField

_BYTE_WISE = {"postgresql": "C", "sqlite": "BINARY"}
_EXAMPLES = ("A", "a ", "\u00e1")
"""Texts that many collations take for the same as ``a``."""


class KeysAlike(RillError):
    """Two keys are the same for the database, and not for Python, so that there cannot be a row for each."""


def byte_wise_collation(connection: BaseDatabaseWrapper) -> str:
    """Return the collation under which a database compares texts exactly, trailing blanks included."""
    if connection.vendor == "mysql":
        is_mariadb = getattr(connection, "mysql_is_mariadb", False)
        return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
    return _BYTE_WISE.get(connection.vendor, "a byte-wise one")


def cure_for(connection: BaseDatabaseWrapper) -> str:
    """Say what to do about keys that are alike."""
    return (
        f'Give the field db_collation="{byte_wise_collation(connection)}", make a migration, and rebuild the '
        "projection; or bring keys into one form by a key function, e.g. key = lambda event: "
        "event.number.strip().lower()."
    )


def keys_alike(projection: str, layout: Layout, keys: Collection[Key]) -> KeysAlike:
    """Return the error that names two or more such keys."""
    connection = connections[layout.using]
    named = " and ".join(repr(key[0] if len(key) == 1 else key) for key in keys)
    return KeysAlike(
        f"{projection}: {connection.display_name} takes the keys {named} of {layout.model._meta.label} "
        f"({', '.join(layout.key_names)}) for equal, which are different. {cure_for(connection)}"
    )


def alike_among(keys: Iterable[Key]) -> list[Key]:
    """Return two keys that usual collations take for equal, or nothing. A guess, to explain an error with."""
    seen: dict[Key, Key] = {}
    for key in keys:
        other = seen.setdefault(tuple(map(_folded, key)), key)
        if other != key:
            return [other, key]
    return []


def _folded(value: object) -> object:
    if not isinstance(value, str):
        return value
    letters = (one for one in normalize("NFKD", value) if not combining(one))
    return "".join(letters).casefold().rstrip()


def tells_keys_apart(layout: Layout) -> bool:
    """Whether the database takes different keys for different, as far as it shows by examples."""
    connection = connections[layout.using]
    columns = [layout.columns[index] for index in layout.key_indexes]
    return not any(
        isinstance(column.target, (models.CharField, models.TextField))
        and any(texts_taken_for_equal(connection, column.field))
        for column in columns
    )


def texts_taken_for_equal(connection: BaseDatabaseWrapper, field: AnyField) -> Iterator[str]:
    """Yield texts that are the same as ``a`` in a field's column, as the database itself says.

    Nothing for a table that is not there yet.
    """
    quote = connection.ops.quote_name
    column, table = quote(field.column or ""), quote(field.model._meta.db_table)
    nothing = f"SELECT {column} FROM {table} WHERE 1 = 0"
    statement = f"SELECT COUNT(*) FROM ({nothing} UNION SELECT %s UNION SELECT %s) probe"
    for example in _EXAMPLES:
        try:
            with (
                transaction.atomic(using=connection.alias),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement, ["a", example])
                (number,) = cursor.fetchone()
        except DatabaseError:
            continue  # No table, or one whose characters do not include it.
        if number == 1:
            yield example
