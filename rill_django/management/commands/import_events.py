"""``manage.py import_events``: lines of JSON into the log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.integrity.importing import Import, ImportRefused
from rill_django.management.arguments import positive_integer
from rill_django.management.progress import Progress
from rill_django.management.signals import Interruptible
from rill_django.projections.inline.checkpoints import have_built_anew
from rill_django.store.orm import DjangoEventStore


class Command(Interruptible, BaseCommand):
    """A shell round `Import`."""

    help = (
        "Appends the events that export_events wrote, in the order of the lines. Events that are there "
        "already are passed over, so an import that was interrupted is run again as it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("file", nargs="?", default="-", help="default: -, which is stdin")
        parser.add_argument(
            "--batch-size",
            type=positive_integer,
            default=1_000,
            metavar="N",
            help="events that are stored in one transaction, all or none; default: 1000",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check every line, but store nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        store = DjangoEventStore()
        inline: set[str] = set()
        job = Import(
            store,
            batch_size=options["batch_size"],
            dry_run=options["dry_run"],
            # Not once before all: a worker may build the rows between two batches.
            within=lambda: inline.update(have_built_anew(store)),
        )
        quiet = options["verbosity"] == 0
        shown = nullcontext() if quiet else Progress(self.stderr, "importing", "lines")
        try:
            with _opened(options["file"]) as lines, shown as progress:
                for done in job.run(lines):
                    if progress is not None:
                        progress.advance_to(done)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from error
        except ImportRefused as error:
            raise CommandError(f"{error}.\n{_how_to_go_on(job, options['dry_run'])}") from error
        except KeyboardInterrupt:
            raise CommandError(
                f"Interrupted.\n{_how_to_go_on(job, options['dry_run'])}", returncode=130
            ) from None
        finally:
            if inline:
                self.stderr.write(
                    "Inline projections do not have what is imported. A worker builds them anew; or run "
                    f"`manage.py rebuild_projections {' '.join(sorted(inline))}`."
                )
        self.stdout.write(self.style.SUCCESS(_summary(job, options["dry_run"])))


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
    else:
        with open(file, "rb") as opened:
            yield opened


def _summary(job: Import, dry_run: bool) -> str:
    done = "would be imported" if dry_run else "were imported"
    return f"{job.imported:,} events {done}; {job.present:,} were there already."


def _how_to_go_on(job: Import, dry_run: bool) -> str:
    if dry_run:
        return f"Up to line {job.lines:,}, {_summary(job, dry_run)} Nothing was stored."
    return (
        f"{_summary(job, dry_run)} Of the lines behind {job.lines:,}, none was stored. Run the command "
        "again when the reason is gone: it passes over what is there."
    )
