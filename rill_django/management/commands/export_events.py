"""``manage.py export_events``: the log as lines of JSON."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from rill_django.integrity.exporting import Export, Wanted
from rill_django.integrity.lines import DEFAULT_SOURCE, UnexportableEvent
from rill_django.management.arguments import positive_integer
from rill_django.management.progress import Progress
from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import SequencerHeld
from rill_django.store.query_log import without_query_log

LINES_AT_ONCE = 500


def moment(text: str) -> datetime:
    """Return a time with a zone."""
    try:
        time = parse_datetime(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ArgumentTypeError(
            f"{text!r} is not a time with a zone, such as 2024-05-31T18:00:00+02:00"
        )
    return time


class Command(Interruptible, BaseCommand):
    """A shell round `Export`."""

    help = (
        "Writes events as lines of JSON (CloudEvents 1.0), in the order of the log, up to its end at "
        "the start. import_events reads them. Filters that leave parts of a stream out make an export "
        "that can be read, but not imported into an empty log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="complete or not there at all; default: stdout",
        )
        parser.add_argument(
            "--stream", action="append", metavar="NAME", help="only this stream; may be repeated"
        )
        parser.add_argument(
            "--category", metavar="NAME", help="only streams of this type, e.g. bank.Account"
        )
        parser.add_argument(
            "--type",
            action="append",
            metavar="NAME",
            help="only events of this type; may be repeated",
        )
        parser.add_argument(
            "--since", type=moment, metavar="TIME", help="only what was recorded then or later"
        )
        parser.add_argument(
            "--until", type=moment, metavar="TIME", help="only what was recorded before"
        )
        parser.add_argument(
            "--after",
            type=positive_integer,
            default=0,
            metavar="POSITION",
            help="only what is behind this position",
        )
        parser.add_argument(
            "--source",
            default=DEFAULT_SOURCE,
            metavar="URI",
            help=f"where the events come from, for those who read them; default: {DEFAULT_SOURCE}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        if not options["source"]:
            raise CommandError("--source must not be empty.")
        wanted = Wanted(
            streams=frozenset(options["stream"] or ()),
            category=options["category"],
            types=frozenset(options["type"] or ()),
            since=options["since"],
            until=options["until"],
            after=options["after"],
        )
        try:
            export = Export(DjangoEventStore(), wanted)
        except SequencerHeld as error:
            raise CommandError(str(error)) from error
        # A text, if it comes by call_command.
        output = Path(options["output"]) if options["output"] else None
        # Lines on a terminal are progress enough.
        quiet = options["verbosity"] == 0 or (output is None and self.stdout.isatty())
        shown = nullcontext() if quiet else Progress(self.stderr, "exporting", "positions")
        try:
            with self._writer(output) as write, shown as progress:
                number = self._write(export, options["source"], write, progress)
        except UnexportableEvent as error:
            raise CommandError(f"{error}. verify_events says what else is wrong.") from error
        except BrokenPipeError:
            # Else Python complains once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError("Whoever read the export has stopped reading.") from None
        except OSError as error:
            raise CommandError(f"The export cannot be written: {error}") from error
        if output is not None:
            self.stdout.write(self.style.SUCCESS(f"{number:,} events are in {output}."))

    @without_query_log()
    def _write(
        self,
        export: Export,
        source: str,
        write: Callable[[bytes], object],
        progress: Progress | None,
    ) -> int:
        number, waiting = 0, []
        for position, line in export.lines(source):
            waiting.append(line)
            number += 1
            if len(waiting) == LINES_AT_ONCE:
                write(b"".join(waiting))
                waiting.clear()
                if progress is not None:
                    progress.advance_to(position - export.after, export.upto - export.after)
        write(b"".join(waiting))
        if progress is not None:
            progress.advance_to(export.upto - export.after, export.upto - export.after)
        return number - 1  # The last line is the trailer.

    @contextmanager
    def _writer(self, output: Path | None) -> Iterator[Callable[[bytes], object]]:
        if output is not None:
            with complete_or_absent(output) as file:
                yield file.write
            return
        # Bytes where that is possible: the lines are UTF-8, whatever the terminal's encoding is.
        buffer = getattr(self.stdout, "buffer", None)
        if buffer is None:
            yield lambda lines: self.stdout.write(lines.decode(), ending="")
        else:
            yield buffer.write
            buffer.flush()


@contextmanager
def complete_or_absent(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when everything is written; what had the name stays till then."""
    path = path.resolve()
    if path.exists() and not path.is_file():  # A pipe or a device has no content to keep.
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
