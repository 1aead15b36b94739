"""Fills the database: tables, flights, and what is derived from them."""

from __future__ import annotations

from contextlib import suppress

from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.utils import timezone

from example_project.flights.dataset import MissingData, Period, year_file
from example_project.flights.recording import Tally, record
from example_project.home.demo.errors import DemoFailed, DemoStopped
from example_project.registration import people
from rill_django import RejectedError
from rill_django.management.progress import Progress
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import ProjectionWorker
from rill_django.stopping import Stop
from rill_django.store.orm import DjangoEventStore


def migrate() -> None:
    """Make the tables, or bring them up to date."""
    call_command("migrate", verbosity=0, interactive=False)


def check_data(period: Period) -> None:
    """Raise `DemoFailed` if the data of the period are not there."""
    if period is Period.YEAR:
        try:
            year_file()
        except MissingData as error:
            raise DemoFailed(str(error)) from None


def record_flights(period: Period, output: OutputWrapper, stop: Stop) -> Tally:
    """Record the flights of a period that are not in the log yet.

    Raises:
        DemoStopped: ``stop`` was set.
    """
    with Progress(output, "Recording", "flights", period.flights) as progress:
        tally = record(period.reports(), stop=stop, progress=progress.advance_to)
    if stop.is_set():
        raise DemoStopped
    return tally


def register_people() -> int:
    """Have the people of the registration example register who have not; return how many."""
    # Somebody who has tried the example may have taken what is theirs. Then there is something to see.
    with suppress(RejectedError):
        return people.register_people(timezone.now())
    return 0


def apply_events(output: OutputWrapper, stop: Stop) -> list[str]:
    """Bring all projections up to date.

    Returns:
        Which of them stand still, and why. The site can be looked at all the same, and tells it, too.

    Raises:
        DemoStopped: ``stop`` was set.
    """
    positions = {one.name: one.position for one in projection_statuses()}
    start = min(positions.values())
    head = DjangoEventStore().head()
    if start == head:
        return []
    # The bar shows the slowest one: they read the log together, so that they are never far apart.
    with Progress(output, "Projecting", "events", head - start) as progress:

        def advance(name: str, position: int, head: int) -> None:
            positions[name] = position
            progress.advance_to(min(positions.values()) - start)

        worker = ProjectionWorker(progress=advance)
        worker.run_until_caught_up(stop)
        if not worker.stopped and not stop.is_set():
            # An inline projection that wants none of the events is built without a batch.
            progress.advance_to(head - start)
    if stop.is_set():
        raise DemoStopped
    return [f"{name} stands still: {why}" for name, why in worker.stopped.items()]
