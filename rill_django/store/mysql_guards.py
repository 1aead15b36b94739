"""The guards of the log on MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.guards import EVENTS, POSITIONS, REFUSAL, REFUSED, UNSEQUENCED, Guards

_COMMAND_DENIED = 1142

_REFUSE = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REFUSAL}'"

_TRIGGERS = {
    (table, action): f"{table}_no_{action.lower()}"
    for table, actions in REFUSED.items()
    for action in actions
}

# TRUNCATE fires no trigger. What a foreign key points to cannot be truncated, even if no row points there:
# so the table of these keys stays empty, and costs nothing.
_SEAL = "rill_django_seal"
_SEALED = {EVENTS: "id", POSITIONS: "position", UNSEQUENCED: "event_id"}


class MySQLGuards(Guards):
    """See `Guards`."""

    creation = (
        *(
            f"CREATE TRIGGER {name} BEFORE {action} ON {table} FOR EACH ROW {_REFUSE}"
            for (table, action), name in _TRIGGERS.items()
        ),
        f"CREATE TABLE {_SEAL} ("
        + ", ".join(
            f"{table} BIGINT NULL, CONSTRAINT {_SEAL}_of_{table} FOREIGN KEY ({table}) "
            f"REFERENCES {table} ({column})"
            for table, column in _SEALED.items()
        )
        + ") ENGINE = InnoDB",
    )
    removal = (
        *(f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS.values()),
        f"DROP TABLE IF EXISTS {_SEAL}",
    )

    def faults(self, cursor: CursorWrapper) -> list[str]:
        """See `Guards.faults`.

        An account without the privilege TRIGGER does not see what they do, if it sees them at all. What it
        may not do itself it need not see.
        """
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
        tables = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT trigger_name, event_object_table, event_manipulation, action_timing, action_statement "
            "FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
        )
        found = {name: rest for name, *rest in cursor.fetchall() if rest[-1]}
        faults = []
        may = {
            (table, action): bool(found) or _may(cursor, action, table)
            for table, action in _TRIGGERS
            if table in tables
        }
        for (table, action), name in _TRIGGERS.items():
            if not may.get((table, action)):
                continue
            if name not in found:
                faults.append(f"The trigger {name} is missing.")
            elif found[name] != [table, action, "BEFORE", _REFUSE]:
                faults.append(f"The trigger {name} is not as it is made today.")
        return faults + (_unsealed(cursor, tables) if any(may.values()) else [])

    @contextmanager
    def emptying(self, connection: BaseDatabaseWrapper, *, ids_begin_anew: bool) -> Iterator[None]:
        """See `Guards.emptying`. The triggers stay: TRUNCATE fires none, and needs the privilege DROP."""
        with connection.cursor() as cursor:
            # What the server says of its counters may be a day old.
            cursor.execute(f"SELECT MAX(id) FROM {EVENTS}")
            last = cursor.fetchone()[0]
            with connection.constraint_checks_disabled():
                for table in _SEALED:
                    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {table})")
                    if not cursor.fetchone()[0]:
                        continue
                    cursor.execute(f"TRUNCATE {table}")
                    if table == EVENTS and not ids_begin_anew:
                        cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = {last + 1:d}")
        yield


def _may(cursor: CursorWrapper, action: str, table: str) -> bool:
    """Whether this account may change or delete rows of a table; asked with a statement that touches none."""
    column = _SEALED[table]
    change = (
        f"UPDATE {table} SET {column} = {column}" if action == "UPDATE" else f"DELETE FROM {table}"
    )
    try:
        cursor.execute(f"{change} WHERE 1 = 0")
    except DatabaseError as error:
        if error.args[0] == _COMMAND_DENIED:
            return False
        raise
    return True


def _unsealed(cursor: CursorWrapper, tables: set[str]) -> list[str]:
    cursor.execute(
        "SELECT referenced_table_name FROM information_schema.referential_constraints "
        "WHERE constraint_schema = DATABASE() AND table_name = %s",
        (_SEAL,),
    )
    sealed = {name for (name,) in cursor.fetchall()}
    return [
        f"TRUNCATE can empty {table}: no foreign key of {_SEAL} points to it."
        for table in _SEALED
        if table in tables and table not in sealed
    ]
