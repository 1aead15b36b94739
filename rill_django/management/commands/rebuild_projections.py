"""``manage.py rebuild_projections``: makes projections anew from the log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.domain.errors import UnreadableEvent
from rill_django.management.progress import Progress
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import rebuild
from rill_django.projections.registry import UnknownProjection, current_projections


class Command(BaseCommand):
    """A shell round `rebuild`."""

    help = (
        "Makes projections anew from the whole log. Readers see the old rows until the new ones are "
        "complete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("names", nargs="*", help="projections to rebuild; default: all")
        parser.add_argument("--no-input", "--noinput", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            projections = current_projections().named(options["names"])
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        if not projections:
            raise CommandError(
                "There are no projections. Write one in the projections.py of an installed app."
            )
        names = ", ".join(projection.name for projection in projections)
        if not options["no_input"]:
            answer = input(f"Make these projections anew from the log: {names}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was changed.")
        for projection in projections:
            with Progress(self.stdout, projection.name, "events") as progress:
                try:
                    position = rebuild(
                        projection, progress=lambda _, done, head: progress.advance_to(done, head)
                    )
                except (HandlerFailed, UnreadableEvent) as error:
                    raise CommandError(
                        f"{projection.name} could not be rebuilt; its rows are as they were: {error}"
                    ) from error
            self.stdout.write(
                self.style.SUCCESS(f"{projection.name} is rebuilt up to position {position:,}.")
            )
