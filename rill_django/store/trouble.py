"""Trouble of a database that passes, told from what is wrong with a statement or its values."""

from __future__ import annotations

import re
import sqlite3
from enum import Enum

from django.apps import apps
from django.db import InterfaceError, OperationalError

from rill_django.domain.tracebacks import causes_of
from rill_django.store.migrated import NotMigrated


class Trouble(Enum):
    """Why a database did not do what was right to ask for. It is nobody's fault who asked."""

    OTHERS = "others are in the way"
    """Locks, deadlocks, transactions that cannot be put in a row, too many connections."""
    TOO_LONG = "the statement took too long, or was cancelled"
    SERVER = "the database cannot do it now"
    """No disk, no memory, no writing, no connection; a server that starts or ends."""
    SCHEMA = "a table, a column or a right is not there"
    """Not migrated yet, or not granted; or a name that never will be: nobody can tell.

    Or the other way round: a release that is not running yet has added a column that has to have a value.
    """


def trouble_of(error: BaseException) -> Trouble | None:
    """Return what trouble is behind an error: it itself, what it was raised from, or raised while handling.

    ``None``: none that passes. A statement that is wrong, a rule of the data that was broken, a value
    that does not fit.
    """
    return next((found for one in causes_of(error) if (found := _trouble(one))), None)


def _trouble(error: BaseException) -> Trouble | None:
    """Look at one error: of Django's, which have the same arguments as the driver's, or of a driver."""
    if isinstance(error, NotMigrated):
        return Trouble.SCHEMA
    module = type(error).__module__.partition(".")[0]
    if module == "sqlite3":
        return _of_sqlite(error)
    if module in ("psycopg", "psycopg_pool", "psycopg2"):
        return _of_postgresql(error)
    if module in ("MySQLdb", "pymysql", "mysql"):
        return _of_mysql(error)
    is_bare = isinstance(error, (OperationalError, InterfaceError)) and error.__cause__ is None
    return Trouble.SERVER if is_bare else None


# --- PostgreSQL: SQLSTATE --------------------------------------------------------------------

_STATES = {
    "25006": Trouble.SERVER,  # Read-only: a server that has become a replica.
    "25P03": Trouble.SERVER,  # Idle in a transaction for too long.
    "25P04": Trouble.TOO_LONG,  # The transaction took too long.
    "26000": Trouble.SERVER,  # A prepared statement is gone, or is there already: a pooler.
    "42P05": Trouble.SERVER,
    "3D000": Trouble.SERVER,  # No such database.
    "3F000": Trouble.SCHEMA,
    "42501": Trouble.SCHEMA,
    "42703": Trouble.SCHEMA,
    "42P01": Trouble.SCHEMA,
    "55006": Trouble.OTHERS,
    "55P03": Trouble.OTHERS,
    "53300": Trouble.OTHERS,
    "57014": Trouble.TOO_LONG,
    "72000": Trouble.OTHERS,  # Snapshot too old.
}
_CLASSES = {
    "08": Trouble.SERVER,
    "28": Trouble.SERVER,
    "40": Trouble.OTHERS,
    "53": Trouble.SERVER,
    "57": Trouble.SERVER,
    "58": Trouble.SERVER,
}


def _of_postgresql(error: BaseException) -> Trouble | None:
    state: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is None:
        # From the client: there is no connection, or none any more.
        return Trouble.SERVER if _is_any(error, "OperationalError", "InterfaceError") else None
    if state == "0A000":
        # Statements that were prepared before a migration. A new connection prepares them anew.
        source = getattr(getattr(error, "diag", None), "source_function", None)
        return Trouble.SCHEMA if source == "RevalidateCachedQuery" else None
    if state == "23502":
        missing = getattr(error, "diag", None)
        table, column = (getattr(missing, f"{name}_name", None) for name in ("table", "column"))
        return _of_missing_value(table, column)
    return _STATES.get(state) or _CLASSES.get(state[:2])


# --- MySQL and MariaDB: numbers --------------------------------------------------------------

_NUMBERS = {
    Trouble.OTHERS: (
        *(1015, 1020, 1040, 1099, 1100, 1203, 1205, 1206, 1213, 1226, 1412, 1613, 1614, 1637),
        *(3058, 3572, 4031),
    ),
    Trouble.TOO_LONG: (1317, 1969, 3024),
    Trouble.SERVER: (
        *(0, 1003, 1004, 1006, 1016, 1021, 1023, 1024, 1026, 1030, 1037, 1038, 1041, 1047),
        *(1042, 1043, 1045, 1049, 1053, 1077, 1079, 1080, 1114, 1129, 1135, 1152, 1158, 1159, 1160),
        *(1161, 1180, 1184, 1223, 1290, 1429, 1792, 1836, 1927, 3032, 3100, 3101, 3168, 3169),
        *range(2000, 2100),  # From the client: no connection, or none any more.
    ),
    # 1364: the statement does not name a column without a default. Django names all that its model has.
    Trouble.SCHEMA: (1044, 1054, 1142, 1143, 1146, 1364, 1370),
}
_BY_NUMBER = {number: kind for kind, numbers in _NUMBERS.items() for number in numbers}


def _of_mysql(error: BaseException) -> Trouble | None:
    number = error.args[0] if error.args else None
    if not isinstance(number, int):
        return Trouble.SERVER if _is_any(error, "InterfaceError") else None
    return _BY_NUMBER.get(number)


# --- SQLite: primary result codes, and texts where Python does not tell these (3.10) ---------

_RESULTS = {
    5: Trouble.OTHERS,  # BUSY
    6: Trouble.OTHERS,  # LOCKED
    7: Trouble.SERVER,  # NOMEM
    8: Trouble.SERVER,  # READONLY
    9: Trouble.TOO_LONG,  # INTERRUPT
    10: Trouble.SERVER,  # IOERR
    13: Trouble.SERVER,  # FULL
    14: Trouble.SERVER,  # CANTOPEN
    15: Trouble.OTHERS,  # PROTOCOL
    17: Trouble.SCHEMA,  # SCHEMA
    23: Trouble.SERVER,  # AUTH
}
_TEXTS = {
    "is locked": Trouble.OTHERS,
    "locking protocol": Trouble.OTHERS,
    "interrupted": Trouble.TOO_LONG,
    "readonly database": Trouble.SERVER,
    "disk I/O error": Trouble.SERVER,
    "database or disk is full": Trouble.SERVER,
    "unable to open database": Trouble.SERVER,
    "schema has changed": Trouble.SCHEMA,
}
_NO_VALUE = re.compile(r"NOT NULL constraint failed: (\w+)\.(\w+)")
_ERROR = 1
_NOT_THERE = ("no such table", "no such column", "has no column named")


def _of_sqlite(error: BaseException) -> Trouble | None:
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        missing = _NO_VALUE.fullmatch(text)  # Others may have anybody's words in them.
        return _of_missing_value(*missing.groups()) if missing else None
    if not isinstance(error, sqlite3.DatabaseError):
        return None  # What the module says of its own use.
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        found = next((kind for part, kind in _TEXTS.items() if part in text), None)
    else:
        found = _RESULTS.get(code & 0xFF)
    if found is None and code in (None, _ERROR) and any(one in text for one in _NOT_THERE):
        return Trouble.SCHEMA
    return found


# --- All -------------------------------------------------------------------------------------


def _of_missing_value(table: str | None, column: str | None) -> Trouble | None:
    """Tell a column that this code does not know, and so gives no value, from one that it left empty."""
    columns = {
        field.column
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table == table
        for field in model._meta.local_concrete_fields
    }
    return Trouble.SCHEMA if columns and column not in columns else None


def _is_any(error: BaseException, *names: str) -> bool:
    """Whether it is of one of these classes of its driver, which need not be installed."""
    return any(one.__name__ in names for one in type(error).__mro__)
