"""``manage.py protect_events``: puts back what makes the database refuse to change the log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.tables import Event


class Command(Interruptible, BaseCommand):
    """A shell round `Guards.put_up`."""

    help = (
        "Puts back the triggers that make the database refuse to change or delete events. Needs an "
        "account that owns the tables. Exit code 1 with --dry-run: something is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("--dry-run", action="store_true", help="only say what is missing")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        connection = connections[DjangoEventStore().using]
        guards = dialect_of(connection).guards
        Event.objects.using(
            connection.alias
        ).exists()  # Tables that are not there have no guards either.
        if options["dry_run"]:
            with connection.cursor() as cursor:
                faults = guards.faults(cursor)
        else:
            faults = guards.put_up(connection)
        for fault in faults:
            self.stdout.write(fault)
        if not faults:
            self.stdout.write(self.style.SUCCESS("The database refuses to change the log."))
        elif options["dry_run"]:
            raise CommandError("The log can be changed. Run the command without --dry-run.")
        else:
            self.stdout.write(self.style.SUCCESS("All of it is put back. Now run: verify_events"))
