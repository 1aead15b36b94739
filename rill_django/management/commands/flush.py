"""``manage.py flush``: Django's own, which may empty the log, too."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.flush import Command as FlushCommand
from django.db import connections

from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.stored_types import stored_types


class Command(Interruptible, FlushCommand):
    """Lifts the protection of events for its run: emptying the whole database is what it is for.

    Django's ``TransactionTestCase`` flushes after every test.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        connection = connections[options["database"]]
        if options["database"] != DjangoEventStore().using:
            super().handle(*args, **options)
            return
        with dialect_of(connection).unprotected(connection):
            super().handle(*args, **options)
        stored_types.forget()
