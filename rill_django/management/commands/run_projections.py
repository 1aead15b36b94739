"""``manage.py run_projections``: keeps projections up to date until it is told to stop."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rill_django.management.arguments import positive_float, positive_integer
from rill_django.management.checking import check_log
from rill_django.management.signals import Interruptible, stopped_by_signals
from rill_django.projections.registry import UnknownProjection
from rill_django.projections.worker import ProjectionWorker
from rill_django.stopping import Stop
from rill_django.store.protocol import SequencerHeld


class Command(Interruptible, BaseCommand):
    """A shell round `ProjectionWorker`."""

    help = "Keeps projections up to date with the log of events, until it gets a signal to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument("names", nargs="*", help="projections to run; default: all")
        parser.add_argument(
            "--once",
            "--until-caught-up",
            action="store_true",
            help="stop when all are caught up; exit code 1 if one could not be",
        )
        parser.add_argument(
            "--metrics-port",
            type=positive_integer,
            metavar="PORT",
            help="serve figures for Prometheus on this port; needs rill-django[prometheus]",
        )
        parser.add_argument(
            "--metrics-address",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="serve them at this address; 0.0.0.0: all of the machine's; default: %(default)s",
        )
        parser.add_argument("--database", help="only projections that are kept in this database")
        parser.add_argument(
            "--batch-size", type=positive_integer, help="most events applied in one transaction"
        )
        parser.add_argument(
            "--poll-interval",
            type=positive_float,
            metavar="SECONDS",
            help="pause between two looks at the log when there was nothing to do",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        try:
            worker = ProjectionWorker(
                options["names"], database=options["database"], batch_size=options["batch_size"]
            )
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        if not worker.projections:
            raise CommandError(
                "There are no projections. Write one in the projections.py of an installed app."
            )
        check_log(self, options)
        if options["metrics_port"]:
            self._serve_metrics(options["metrics_address"], options["metrics_port"])
        names = ", ".join(projection.name for projection in worker.projections)
        is_at_end = True
        with stopped_by_signals() as stop:
            if options["once"]:
                is_at_end = self._run_once(worker, stop)
            else:
                self.stdout.write(f"Running {names}. Ctrl-C stops.")
                worker.run(stop, poll_interval=options["poll_interval"])
        if worker.stopped:
            reasons = "\n".join(f"  {name}: {why}" for name, why in worker.stopped.items())
            raise CommandError(
                f"These projections stand still:\n{reasons}\n"
                "Mend the handler and run this command again; it goes on where it stopped."
            )
        if not is_at_end:
            raise CommandError(
                "It was stopped before the end. What was applied stays; run it again to go on."
            )
        if options["once"]:
            self.stdout.write(self.style.SUCCESS(f"Up to date: {names}"))

    def _run_once(self, worker: ProjectionWorker, stop: Stop) -> bool:
        try:
            return worker.run_until_caught_up(stop)
        except SequencerHeld as error:
            raise CommandError(str(error)) from error

    def _serve_metrics(self, address: str, port: int) -> None:
        try:
            from rill_django.contrib.prometheus import serve

            serve(port, address)
        except ImportError:
            raise CommandError(
                "--metrics-port needs the package prometheus-client: pip install rill-django[prometheus]"
            ) from None
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be had for metrics at {address}: {error}"
            ) from None
        self.stdout.write(f"Metrics on http://{address}:{port}/")
