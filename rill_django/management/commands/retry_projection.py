"""``manage.py retry_projection``: takes up what stands still, after it was mended."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from rill_django.management.signals import Interruptible
from rill_django.projections.mending import NothingToSkip, retry, skip
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.registry import UnknownProjection, current_projections
from rill_django.projections.trust import AnotherLog


class Command(Interruptible, BaseCommand):
    """A shell round `retry` and `skip`."""

    help = (
        "Has the worker take up a projection that has stopped, and applies its parked events, exactly "
        "where they are. With --skip, an event is left out for good, which is recorded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("name", help="the projection")
        parser.add_argument(
            "--skip", metavar="STREAM@VERSION", help="never apply this event; needs --reason"
        )
        parser.add_argument("--reason", help="why it is skipped; kept with it")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            (projection,) = current_projections().named([options["name"]])
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        if options["skip"]:
            if not options["reason"]:
                raise CommandError("--skip needs --reason: it is kept, for those who wonder later.")
            try:
                skipped = skip(projection, options["skip"], options["reason"])
            except (NothingToSkip, AnotherLog) as error:
                raise CommandError(str(error)) from None
            self.stdout.write(f"{skipped.event} will never be applied to {projection.name}.")
        try:
            done = retry(projection)
        except AnotherLog as error:
            raise CommandError(str(error)) from None
        except (DatabaseError, HandlerFailed) as error:
            raise CommandError(
                f"The database could not do it now: {error}\nWhat is not applied stays parked. Try again."
            ) from error
        self.stdout.write(
            self.style.SUCCESS(
                f"{projection.name}: {done.resumed} taken up again, {done.applied} parked events "
                f"applied, {done.still_parked} still parked."
            )
        )
        if done.still_parked:
            raise CommandError("Some events failed again; see the admin's list of parked events.")
