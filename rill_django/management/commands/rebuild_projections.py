"""``manage.py rebuild_projections``: makes projections anew from the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.management.arguments import positive_integer
from rill_django.management.checking import check_log
from rill_django.management.progress import Progress
from rill_django.management.signals import Interruptible, stopped_by_signals
from rill_django.projections.projection import Projection
from rill_django.projections.rebuild import RebuildInterrupted, can_be_divided
from rill_django.projections.rebuilding.tasks import Outcome, Task, perform, perform_all
from rill_django.projections.registry import UnknownProjection, current_projections
from rill_django.stopping import Stop


class Command(Interruptible, BaseCommand):
    """A shell round `rebuild` and `verify`."""

    help = (
        "Makes projections anew from the whole log. Readers see the old rows until the new ones are "
        "complete. Exit code 1: one could not be rebuilt, or with --verify: rows differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("names", nargs="*", help="projections to rebuild; default: all")
        parser.add_argument("--database", help="only projections that are kept in this database")
        parser.add_argument("--no-input", "--noinput", action="store_true", help="do not ask")
        parser.add_argument(
            "--verify",
            action="store_true",
            help="change nothing; say where the rows differ from what the log gives",
        )
        parser.add_argument(
            "--in-place",
            action="store_true",
            help="delete and make the live rows themselves, in one long transaction",
        )
        parser.add_argument(
            "--restart",
            action="store_true",
            help="do not go on where a rebuild was interrupted",
        )
        parser.add_argument(
            "--workers",
            type=positive_integer,
            default=1,
            metavar="N",
            help="use so many processes: for several projections at once, or, on PostgreSQL, for one that "
            "is split (partitions above 1)",
        )
        parser.add_argument(
            "--batch-size", type=positive_integer, help="most events applied in one transaction"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        if options["verify"] and options["in_place"]:
            raise CommandError("--verify changes nothing, so it cannot be done --in-place.")
        projections = self._projections(options["names"], options["database"])
        check_log(self, options)
        names = ", ".join(projection.name for projection in projections)
        if not (options["no_input"] or options["verify"]):
            answer = input(f"Make these projections anew from the log: {names}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was changed.")
        tasks = [
            Task(
                projection.name,
                verify=options["verify"],
                in_place=options["in_place"],
                restart=options["restart"],
                batch_size=options["batch_size"],
            )
            for projection in projections
        ]
        bad = []
        with stopped_by_signals() as stop:
            for outcome in self._outcomes(tasks, options["workers"], stop):
                if outcome.is_good:
                    self.stdout.write(self.style.SUCCESS(outcome.text))
                else:
                    bad.append(outcome)
        if bad:
            text = "\n".join(outcome.text for outcome in bad)
            raise CommandError(text) from bad[0].error

    def _projections(self, names: Sequence[str], database: str | None) -> list[Projection]:
        try:
            found = current_projections().named(names)
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        found = [one for one in found if database in (None, one.using)]
        if not found:
            raise CommandError(
                "There are no projections. Write one in the projections.py of an installed app."
            )
        return found

    def _outcomes(self, tasks: Sequence[Task], workers: int, stop: Stop) -> Iterator[Outcome]:
        if workers > 1:
            divided = [task for task in tasks if self._can_be_divided(task)]
            tasks = [task for task in tasks if task not in divided]
            yield from self._one_by_one([one._replace(workers=workers) for one in divided], stop)
            if stop.is_set():
                return
            if len(tasks) > 1:
                yield from self._in_processes(tasks, workers, stop)
                return
            for task in tasks:
                self.stdout.write(f"One process is used for {task.name}: {self._why_not(task)}.")
        yield from self._one_by_one(tasks, stop)

    @staticmethod
    def _can_be_divided(task: Task) -> bool:
        (projection,) = current_projections().named([task.name])
        return can_be_divided(projection) and not (task.verify or task.in_place)

    @staticmethod
    def _why_not(task: Task) -> str:
        (projection,) = current_projections().named([task.name])
        if projection.partitions == 1:
            return "it is not split, which its partitions above 1 would do"
        return "several can work on one only beside its live rows, and on PostgreSQL"

    def _one_by_one(self, tasks: Sequence[Task], stop: Stop) -> Iterator[Outcome]:
        for task in tasks:
            with Progress(self.stdout, task.name, "events") as progress:
                outcome = perform(task, lambda _, done, head: progress.advance_to(done, head), stop)
            yield outcome
            if isinstance(outcome.error, RebuildInterrupted):
                return

    def _in_processes(self, tasks: Sequence[Task], workers: int, stop: Stop) -> Iterator[Outcome]:
        reached: dict[str, int] = {}
        heads: dict[str, int] = {}
        with Progress(self.stdout, f"{len(tasks)} projections", "events") as progress:

            def advance(name: str, done: int, head: int) -> None:
                reached[name], heads[name] = done, head
                # Those that have not begun have as far to go.
                total = sum(heads.values()) + max(heads.values()) * (len(tasks) - len(heads))
                progress.advance_to(sum(reached.values()), total)

            try:
                yield from perform_all(tasks, workers, advance, stop)
            except ImproperlyConfigured as error:
                raise CommandError(str(error)) from None
            except BrokenProcessPool:
                raise CommandError(
                    "A worker process was killed, maybe for want of memory. Run this command again, "
                    "with fewer --workers."
                ) from None
