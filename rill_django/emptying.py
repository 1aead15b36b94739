"""Whether a log that has events may be emptied: only at an explicit word, or in a database of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import mail
from django.core.management.base import CommandError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.conf import configuration

_names_at_start: dict[str, Any] = {}


def remember_names() -> None:
    """Note the names of the databases as the settings have them, before a test runner puts in its own."""
    for alias in connections:
        _names_at_start.setdefault(alias, connections.settings[alias]["NAME"])


def is_test_database(connection: BaseDatabaseWrapper) -> bool:
    """Whether a test runner has made the database.

    A name does not say so: some live databases are called "test". But Django's runner, and that of pytest,
    put the name of the new database into the connection; and they set up the environment of tests, whose
    outbox this is. The latter alone is not enough either: the tutorial does it in a shell.
    """
    at_start = _names_at_start.get(connection.alias, connection.settings_dict["NAME"])
    return hasattr(mail, "outbox") and connection.settings_dict["NAME"] != at_start


def refuse_to_empty(connection: BaseDatabaseWrapper, what: str) -> None:
    """Check that a log may be emptied, or its guards taken away.

    Args:
        connection: to the database.
        what: what somebody is about to do, at the beginning of a sentence.

    Raises:
        CommandError: it has events, and nobody has said that they may go.
    """
    from rill_django.store.tables import Event

    allowed = configuration().allow_flush
    if allowed or (allowed is None and is_test_database(connection)):
        return
    table = Event._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return
    number = Event.objects.using(connection.alias).count()
    if number:
        name = connection.settings_dict["NAME"]
        raise CommandError(
            f"{what}: the log in the database {connection.alias!r} ({name}) has {number:,} events, which "
            "nothing can bring back. Nothing was done. If they are to go, say so in the settings for this "
            'once: RILL = {..., "ALLOW_FLUSH": True}'
        )


def before_migrations(
    sender: AppConfig, using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any
) -> None:
    """Refuse to take back migrations of a log that has events. Receives ``pre_migrate``, before any is."""
    back = [one.name for one, is_back in plan if is_back and one.app_label == sender.label]
    if back:
        connection = connections[using]
        assert isinstance(connection, BaseDatabaseWrapper)
        refuse_to_empty(connection, f"Migrations are not taken back, from {back[0]} on")
