"""The guards of the log on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from rill_django.store.guards import EVENTS, REFUSAL, REFUSED, Guards

_FUNCTION = f"{EVENTS}_refuse"
_BODY = f"""
BEGIN
    RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
END """

# How PostgreSQL notes what a trigger is for: see TRIGGER_TYPE_* in its catalog/pg_trigger.h.
_ROW, _BEFORE = 1, 2
_BITS = {"DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}

_ROWS = {table: f"{table}_immutable" for table in REFUSED}
_WHOLE = {table: f"{table}_no_truncate" for table in REFUSED}
_ALL = [(table, names[table]) for names in (_ROWS, _WHOLE) for table in REFUSED]

_EXPECTED = {
    **{
        (table, name): _ROW + _BEFORE + sum(_BITS[action] for action in REFUSED[table])
        for table, name in _ROWS.items()
    },
    **dict.fromkeys(_WHOLE.items(), _BEFORE + _BITS["TRUNCATE"]),
}

_FOUND = """
SELECT relname, tgname, tgenabled::text, tgtype, tgqual IS NULL AND tgattr::text = '', proname, prosrc
FROM pg_class
LEFT JOIN pg_trigger ON tgrelid = pg_class.oid AND NOT tgisinternal
LEFT JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE pg_class.oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
"""


class PostgreSQLGuards(Guards):
    """See `Guards`."""

    # Per row, so that an upsert that finds nothing to update can insert; always, so that they stand too
    # where session_replication_role says that triggers do not.
    creation = (
        f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$",
        *(
            f"CREATE TRIGGER {name} BEFORE {' OR '.join(REFUSED[table])} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {_FUNCTION}()"
            for table, name in _ROWS.items()
        ),
        *(
            f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
            for table, name in _WHOLE.items()
        ),
        *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for table, name in _ALL),
    )
    removal = tuple(f"DROP TRIGGER IF EXISTS {name} ON {table}" for table, name in _ALL)

    def faults(self, cursor: CursorWrapper) -> list[str]:
        """See `Guards.faults`."""
        cursor.execute(_FOUND, (list(REFUSED),))
        rows = cursor.fetchall()
        tables = {table for table, *_ in rows}
        found = {(table, name): rest for table, name, *rest in rows}
        faults = []
        for (table, name), kind in _EXPECTED.items():
            if table not in tables:
                continue
            if (table, name) not in found:
                faults.append(f"The trigger {name} of {table} is missing.")
                continue
            enabled, *made = found[table, name]
            if enabled in ("D", "R"):
                faults.append(f"The trigger {name} of {table} is disabled.")
            elif enabled != "A" or made != [kind, True, _FUNCTION, _BODY]:
                faults.append(f"The trigger {name} of {table} is not as it is made today.")
        return faults

    @contextmanager
    def emptying(self, connection: BaseDatabaseWrapper, *, ids_begin_anew: bool) -> Iterator[None]:
        """See `Guards.emptying`. For one transaction of the tables' owner, which nobody else sees into."""
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                for table, name in _WHOLE.items():
                    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            yield
            with connection.cursor() as cursor:
                for table, name in _WHOLE.items():
                    cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
