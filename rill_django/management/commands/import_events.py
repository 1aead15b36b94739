"""``manage.py import_events``: lines of JSON into the log."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.conf import configuration
from rill_django.domain.registry import current_registry
from rill_django.integrity.findings import Finding
from rill_django.integrity.import_file import ImportFile
from rill_django.integrity.importing import Import, ImportRefused
from rill_django.integrity.inspection import Inspection, Objection
from rill_django.management.arguments import positive_integer
from rill_django.management.progress import Progress
from rill_django.management.signals import Interruptible
from rill_django.projections.inline.checkpoints import have_built_anew
from rill_django.store.orm import DjangoEventStore

LINE_BYTES_PER_BYTE = 4
"""A line may write as an escape what is one character in the log."""

ENVELOPE_BYTES = 10_000
"""What a line has besides data and metadata."""


class Command(Interruptible, BaseCommand):
    """A shell round `Import`."""

    help = (
        "Appends the events that export_events wrote, in the order of the lines. All lines are checked "
        "before anything is stored. Events that are there already are passed over, so an import that was "
        "interrupted is run again as it is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("file", nargs="?", default="-", help="default: -, which is stdin")
        parser.add_argument(
            "--batch-size",
            type=positive_integer,
            default=1_000,
            metavar="N",
            help="most events that are stored in one transaction, all or none; default: 1000",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check every line, but store nothing"
        )
        parser.add_argument(
            "--accept",
            action="append",
            default=[],
            choices=[objection.value for objection in Objection],
            help="import in spite of this, which the check of the lines has found; may be repeated",
        )
        parser.add_argument(
            "--max-event-bytes",
            type=positive_integer,
            metavar="N",
            help="most bytes of one event's data and metadata; default: RILL['MAX_EVENT_BYTES']",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        most_bytes = options["max_event_bytes"] or configuration().max_event_bytes
        try:
            with _opened(options["file"]) as file:
                lines = ImportFile(file, most_bytes * LINE_BYTES_PER_BYTE + ENVELOPE_BYTES)
                checked = self._checked(lines, most_bytes, options)
                if options["dry_run"]:
                    self.stdout.write(self.style.SUCCESS(_summary(checked, dry_run=True)))
                else:
                    self._import(lines, most_bytes, options)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from error

    def _checked(self, lines: ImportFile, most_bytes: int, options: Mapping[str, Any]) -> Import:
        """Check all lines, and refuse what speaks against them; return what would be imported."""
        inspection = Inspection(current_registry())
        job = Import(
            DjangoEventStore(),
            batch_size=options["batch_size"],
            dry_run=True,
            look_at=inspection.look_at,
            repeated=inspection.note_repeated,
            most_bytes=most_bytes,
        )
        try:
            self._run(job, lines, "checking", options["verbosity"])
        except ImportRefused as error:
            raise CommandError(f"{error}.\nNothing was stored.") from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Nothing was stored.", returncode=130) from None
        objections = inspection.objections(lines.fault)
        refused = {
            kind: one for kind, one in objections.items() if kind.value not in options["accept"]
        }
        if refused:
            raise CommandError(_objected(refused))
        return job

    def _import(self, lines: ImportFile, most_bytes: int, options: Mapping[str, Any]) -> None:
        store = DjangoEventStore()
        inline: set[str] = set()
        job = Import(
            store,
            batch_size=min(options["batch_size"], configuration().max_events_per_commit),
            # Not once before all: a worker may build the rows between two batches.
            within=lambda: inline.update(have_built_anew(store)),
            most_bytes=most_bytes,
        )
        try:
            self._run(job, lines, "importing", options["verbosity"])
        except ImportRefused as error:
            raise CommandError(f"{error}.\n{_how_to_go_on(job)}") from error
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted.\n{_how_to_go_on(job)}", returncode=130) from None
        finally:
            if inline:
                self.stderr.write(
                    "Inline projections do not have what is imported. A worker builds them anew; or run "
                    f"`manage.py rebuild_projections {' '.join(sorted(inline))}`."
                )
        self.stdout.write(self.style.SUCCESS(_summary(job)))

    def _run(self, job: Import, lines: ImportFile, title: str, verbosity: int) -> None:
        shown = nullcontext() if verbosity == 0 else Progress(self.stderr, title, "lines")
        with shown as progress:
            for done in job.run(lines):
                if progress is not None:
                    progress.advance_to(done)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """Open a file that can be read twice: of a pipe, a copy is made in a temporary one."""
    if file != "-":
        with open(file, "rb") as opened:
            if opened.seekable():
                yield opened
                return
            with _copy_of(opened) as copy:
                yield copy
        return
    with _copy_of(sys.stdin.buffer) as copy:
        yield copy


@contextmanager
def _copy_of(pipe: BinaryIO) -> Iterator[BinaryIO]:
    with TemporaryFile() as copy:
        shutil.copyfileobj(pipe, copy)
        copy.flush()
        yield copy


def _objected(objections: Mapping[Objection, Finding]) -> str:
    lines = ["Nothing was stored, for there is something to decide about first."]
    for kind, found in objections.items():
        lines.append(f"{kind.value}: {found.count:,} × {kind.meaning}")
        lines += [f"  {example}" for _at, example in found.examples]
        if found.count > len(found.examples):
            lines.append(f"  … and {found.count - len(found.examples):,} more")
    accept = " ".join(f"--accept {kind.value}" for kind in objections)
    lines.append(f"To import in spite of it: {accept}. docs/integrity.md says what each means.")
    return "\n".join(lines)


def _summary(job: Import, *, dry_run: bool = False) -> str:
    done = "would be imported" if dry_run else "were imported"
    return f"{job.imported:,} events {done}; {job.present:,} were there already."


def _how_to_go_on(job: Import) -> str:
    return (
        f"{_summary(job)} Of the lines behind {job.lines:,}, none was stored. Run the command "
        "again when the reason is gone: it passes over what is there."
    )
