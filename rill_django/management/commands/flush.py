"""``manage.py flush``: Django's own, which may empty the log, too, if somebody has said so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.commands.flush import Command as FlushCommand
from django.db import connections

from rill_django.emptying import refuse_to_empty
from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.stored_types import stored_types


class Command(Interruptible, FlushCommand):
    """Lets the guards of the log step aside for its run: emptying the whole database is what it is for.

    Django's ``TransactionTestCase`` flushes after every test.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django.

        Raises:
            CommandError: the log has events, and ``RILL["ALLOW_FLUSH"]`` does not say that they may go.
        """
        using = options["database"]
        connection = connections[using]
        refuse_to_empty(connection, "The database is not flushed")
        if using == DjangoEventStore().using:
            ids_begin_anew = options.get("reset_sequences", True)
            with _guards_aside(connection, ids_begin_anew=ids_begin_anew):
                super().handle(*args, **options)
            stored_types.forget()
        else:
            super().handle(*args, **options)


@contextmanager
def _guards_aside(connection: Any, *, ids_begin_anew: bool) -> Iterator[None]:
    """Have them step aside where Django empties the tables: after it has asked whether it shall."""
    guards, execute = dialect_of(connection).guards, connection.ops.execute_sql_flush

    def execute_sql_flush(statements: Sequence[str]) -> None:
        with guards.emptying(connection, ids_begin_anew=ids_begin_anew):
            execute(statements)

    connection.ops.execute_sql_flush = execute_sql_flush
    try:
        yield
    finally:
        del connection.ops.execute_sql_flush
