"""Which types of events a log has: a small table that an append writes to once for each new one.

A process remembers the types that it knows to be there, so that an append pays nothing for the others. Two
rules make that right. A type is noted in the transaction that stores its first event, so that the two are
there together or not at all. And the process takes it for noted only when that transaction is committed;
within it, as long as nothing of it was rolled back.

The table has no unique constraint: two writers that are the first at the same moment would wait for each
other. Both note the type, then, and readers do not mind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.store.dialect import Row
from rill_django.store.tables import StoredType

REMEMBERED_SECONDS = 60.0
"""How long a process trusts its memory. Others may have emptied or restored the database meanwhile."""


Kind = tuple[str, str]
"""Aggregate type of the streams, e.g. ``bank.Account``, and type of the event, ``bank.Account.opened``."""


def kinds_of(rows: Iterable[Row]) -> dict[Kind, Row]:
    """Return the kinds of events that are among the rows, each with its first one."""
    kinds: dict[Kind, Row] = {}
    stream = category = type = ""
    for row in rows:
        if row.stream == stream and row.type == type:  # As neighbours often are.
            continue
        if row.stream != stream:
            stream = row.stream
            category = stream.partition("/")[0]
        type = row.type
        if (category, type) not in kinds:
            kinds[category, type] = row
    return kinds


class StoredTypes:
    """What this process knows of the tables. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[float, set[Kind]]] = {}
        self._with_table: set[str] = set()
        # What is noted in a transaction that is still open, with Django's list of what is to be done
        # when it is committed: that is another list as soon as anything is rolled back.
        self._pending: WeakKeyDictionary[BaseDatabaseWrapper, dict[Kind, list[Any]]] = (
            WeakKeyDictionary()
        )

    def unknown(self, connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> dict[Kind, Row]:
        """Return the kinds among the rows that have to be noted, as far as is known here."""
        kinds = kinds_of(rows)
        known = self._known_to(connection)
        if known.issuperset(kinds):
            return {}
        pending = self._pending.get(connection, {})
        return {
            kind: row
            for kind, row in kinds.items()
            if kind not in known and pending.get(kind) is not connection.run_on_commit
        }

    def note(self, connection: BaseDatabaseWrapper, kinds: dict[Kind, Row]) -> None:
        """Note kinds, in the transaction that stores the rows."""
        if not self._has_table(connection):
            return  # The migration that makes it looks through the log.
        types = StoredType.objects.using(connection.alias)
        there = types.filter(type__in={type for _category, type in kinds})
        noted = set(there.values_list("category", "type"))
        types.bulk_create(
            StoredType(category=category, type=type, stream=row.stream, version=row.version)
            for (category, type), row in kinds.items()
            if (category, type) not in noted
        )

        def remember() -> None:
            # A test may run this before the end of its transaction, which it then rolls back.
            if not connection.in_atomic_block:
                self._known_to(connection).update(kinds)

        transaction.on_commit(remember, using=connection.alias, robust=True)
        pending = self._pending.setdefault(connection, {})
        pending.update(dict.fromkeys(kinds, connection.run_on_commit))

    def _has_table(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether the table is there. A data migration of a project may send commands before it is."""
        if connection.alias not in self._with_table:
            if StoredType._meta.db_table not in connection.introspection.table_names():
                return False
            self._with_table.add(connection.alias)
        return True

    def forget(self) -> None:
        """Forget everything: the tables are emptied."""
        self._known.clear()

    def _known_to(self, connection: BaseDatabaseWrapper) -> set[Kind]:
        # The name is another one in tests, and with a schema for each tenant there are several tables.
        key = (
            connection.alias,
            connection.settings_dict["NAME"],
            getattr(connection, "schema_name", None),
        )
        now = time.monotonic()
        since, known = self._known.get(key, (now, None))
        if known is None or now - since > REMEMBERED_SECONDS:
            known = set()
            self._known[key] = now, known
        return known


stored_types = StoredTypes()
