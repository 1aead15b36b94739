"""``manage.py runserver_with_projections``: the development server, and the projections along with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError, CommandParser
from django.utils import autoreload

from rill_django.management.background import BackgroundWorker
from rill_django.management.checking import check_log
from rill_django.management.signals import Interruptible
from rill_django.projections.registry import UnknownProjection

if TYPE_CHECKING:
    from django.core.management.commands.runserver import Command as Runserver
else:
    # The one in force: Django's, that of staticfiles, of an ASGI server, …
    Runserver = type(load_command_class(get_commands()["runserver"], "runserver"))


class Command(Interruptible, Runserver):
    """The project's ``runserver`` with a `BackgroundWorker`, in the process that serves."""

    help = (
        "Starts the project's development server, and keeps projections up to date along with it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        super().add_arguments(parser)
        parser.add_argument(
            "--projection",
            action="append",
            default=[],
            dest="projections",
            metavar="NAME",
            help="a projection to run; may be repeated; default: all",
        )

    def run(self, **options: Any) -> None:
        """See Django."""
        is_serving = os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"
        if options["use_reloader"] and not is_serving:
            _restart_whenever_it_ends()
        else:
            super().run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """See Django. Called again in a new process after each change of the code."""
        try:
            worker = BackgroundWorker(options["projections"])
        except UnknownProjection as error:
            raise CommandError(str(error)) from None
        check_log(self, options)
        names = ", ".join(worker.projections)
        self.stdout.write(f"Projections run along: {names or 'there are none yet'}.")
        with worker:
            super().inner_run(*args, **options)


def _restart_whenever_it_ends() -> None:
    """Keep a serving process running; the reloader's first process does nothing else.

    Django's own loop gives up when the code does not even load, and has an exception for the command
    ``runserver`` alone. Here, a change of the code brings the server back.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            status = autoreload.restart_with_reloader()
            if status <= 0:
                sys.exit(status)
            sys.stderr.write("The server starts again when the code changes. Ctrl-C ends.\n")
            _wait_for_change()
    except KeyboardInterrupt:
        pass


def _wait_for_change() -> None:
    files = autoreload.StatReloader()
    before = dict(files.snapshot_files())
    while dict(files.snapshot_files()) == before:
        time.sleep(files.SLEEP_TIME)
