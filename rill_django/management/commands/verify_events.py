"""``manage.py verify_events``: proves that the log of events is whole."""

from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.integrity.findings import Findings, Verdict
from rill_django.integrity.verification import verify
from rill_django.management.arguments import positive_integer
from rill_django.management.progress import Progress
from rill_django.management.signals import Interruptible
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import SequencerHeld

UNREADABLE = 3
"""Exit code if only today's code is to blame; 2 is that of wrong arguments."""


class Command(Interruptible, BaseCommand):
    """A shell round `verify`."""

    help = (
        "Reads the whole log of events and proves that nothing is missing, everything is in order, and "
        "today's code can read it. Others may write meanwhile. Exit code 1: the log is damaged, or could "
        "not be verified; 3: it is not, but today's code cannot read all of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument(
            "--workers",
            type=positive_integer,
            default=1,
            metavar="N",
            help="processes that check at the same time; default: 1",
        )
        parser.add_argument("--format", choices=("text", "json"), default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        quiet = options["verbosity"] == 0
        # Not on stdout: that is for the report.
        shown = nullcontext() if quiet else Progress(self.stderr, "verifying", "positions")
        try:
            with shown as progress:
                findings = verify(
                    DjangoEventStore(),
                    workers=options["workers"],
                    progress=progress.advance_to if progress else lambda done, head: None,
                )
        except SequencerHeld as error:
            raise CommandError(str(error)) from error
        except ImproperlyConfigured as error:
            raise CommandError(f"{error} Or leave --workers out.") from error
        except BrokenProcessPool as error:
            raise CommandError(
                "A worker was killed, maybe for want of memory. Try fewer --workers."
            ) from error
        if options["format"] == "json":
            self.stdout.write(json.dumps(findings.to_dict(), indent=2, ensure_ascii=False))
        else:
            self._report(findings)
        if findings.verdict is Verdict.DAMAGED:
            raise CommandError(
                "The log is damaged. Stop writing to it, keep a copy as it is, and compare it with a "
                "backup; docs/integrity.md says what each kind of damage means."
            )
        if findings.verdict is Verdict.UNREADABLE:
            raise CommandError(
                "The log is not damaged, but today's code leaves parts of it out. Do not release it so: "
                "give new fields a default, old names to what was renamed, or write upcasters; "
                "docs/integrity.md says what each kind means.",
                returncode=UNREADABLE,
            )

    def _report(self, findings: Findings) -> None:
        waiting = f"; {findings.waiting:,} wait for their positions" if findings.waiting else ""
        self.stdout.write(
            f"{findings.events:,} events in {findings.streams:,} streams were read{waiting}."
        )
        self._list_types("types that today's code does not know", findings.unknown_types)
        self._list_types("types that are passed over", findings.passed_over)
        for lost in findings.lost_in_order():
            title = f"unknown-field: {lost.count:,} × {lost.type} has {lost.field!r}, which no code knows"
            self.stdout.write(self.style.ERROR(title))
            self.stdout.write(f"  first at {lost.first[1]}. {lost.cure}")
        for kind, found in findings.in_order():
            self.stdout.write(self.style.ERROR(f"{kind.value}: {found.count:,} × {kind.meaning}"))
            for _at, example in found.examples:
                self.stdout.write(f"  {example}")
            if found.count > len(found.examples):
                self.stdout.write(f"  … and {found.count - len(found.examples):,} more")
        if findings.is_whole:
            self.stdout.write(self.style.SUCCESS("The log is whole."))

    def _list_types(self, title: str, counts: dict[str, int]) -> None:
        if counts:
            self.stdout.write(f"{sum(counts.values()):,} are of {title}:")
        for type, count in sorted(counts.items()):
            self.stdout.write(f"  {type}: {count:,}")
