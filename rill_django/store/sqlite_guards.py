"""The guards of the log on SQLite."""

from __future__ import annotations

from django.db.backends.utils import CursorWrapper

from rill_django.store.guards import EVENTS, POSITIONS, REFUSAL, REFUSED, Guards

_REFUSE = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"

# REPLACE deletes the row that is in the way, and fires no trigger for it.
_IN_THE_WAY = {
    EVENTS: (
        f"EXISTS (SELECT 1 FROM {EVENTS} WHERE id = NEW.id) OR EXISTS "
        f"(SELECT 1 FROM {EVENTS} WHERE stream = NEW.stream AND version = NEW.version)"
    ),
    POSITIONS: (
        f"EXISTS (SELECT 1 FROM {POSITIONS} WHERE position = NEW.position) OR EXISTS "
        f"(SELECT 1 FROM {POSITIONS} WHERE event_id = NEW.event_id)"
    ),
}

_TRIGGERS = {
    f"{table}_no_{action.lower()}": f"BEFORE {action} ON {table} {_REFUSE}"
    for table, actions in REFUSED.items()
    for action in actions
} | {
    f"{table}_no_replace": f"BEFORE INSERT ON {table} WHEN {there} {_REFUSE}"
    for table, there in _IN_THE_WAY.items()
}


class SQLiteGuards(Guards):
    """See `Guards`."""

    creation = tuple(f"CREATE TRIGGER {name} {text}" for name, text in _TRIGGERS.items())
    removal = tuple(f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS)

    def faults(self, cursor: CursorWrapper) -> list[str]:
        """See `Guards.faults`."""
        cursor.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"
        )
        found = {(kind, name): sql for kind, name, sql in cursor.fetchall()}
        faults = []
        for name, text in _TRIGGERS.items():
            if ("table", name.rpartition("_no_")[0]) not in found:
                continue
            sql = found.get(("trigger", name))
            if sql is None:
                faults.append(f"The trigger {name} is missing.")
            elif sql != f"CREATE TRIGGER {name} {text}":
                faults.append(f"The trigger {name} is not as it is made today.")
        return faults
