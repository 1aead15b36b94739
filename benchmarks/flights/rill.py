"""rill_django with the flights and projections of the example project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from threading import Event as Signal
from typing import Any

import django

from benchmarks import DATABASES_VARIABLE
from benchmarks.flights.data import reports

AT_ONCE = 1_000


class Rill:
    """See `OurAirport`."""

    def __init__(self, database: Mapping[str, Any]) -> None:
        os.environ[DATABASES_VARIABLE] = json.dumps({"default": database})
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.flights.settings"
        django.setup()
        from rill_django.store.orm import DjangoEventStore

        self._store = DjangoEventStore()
        self._flights = 0

    def install(self) -> None:
        """See `Airport`."""
        from django.core.management import call_command

        # The boards are tables of a benchmark and have no migrations.
        call_command("migrate", run_syncdb=True, verbosity=0)
        self.close()

    def close(self) -> None:
        """See `Airport`."""
        from django.db import connections

        connections.close_all()

    def record(self, flights: int) -> int:
        """See `Airport`."""
        from django.db import connection

        from example_project.flights.domain import Flight
        from example_project.flights.recording import batches, decide
        from rill_django import commit_all

        if self._flights < flights:
            for batch in batches(reports(self._flights, flights), AT_ONCE):
                new = [Flight(one.carrier, one.number, one.date, one.origin) for one in batch]
                commit_all(map(decide, new, batch))
                self._flights += len(batch)
            self._store.head()
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")
        return self._store.head()

    def forget(self, projections: Sequence[str]) -> None:
        """See `Airport`."""
        from django.db import connection

        from rill_django.projections.checkpoint import Checkpoint
        from rill_django.projections.registry import current_projections

        Checkpoint.objects.filter(name__in=projections).delete()
        found = current_projections().named(projections)
        tables = [model._meta.db_table for one in found for model in one.models]
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
            # So that nobody's pages are written in somebody else's time.
            cursor.execute("CHECKPOINT")

    def catch_up(self, projections: Sequence[str], events: int | None = None) -> tuple[int, float]:
        """See `Airport`."""
        from rill_django.projections.worker import ProjectionWorker

        stop, reached = Signal(), dict.fromkeys(projections, 0)

        def progress(name: str, position: int, head: int) -> None:
            reached[name] = position
            if events is not None and position >= events:
                stop.set()

        begin = time.monotonic()
        worker = ProjectionWorker(projections, progress=progress)
        worker.run_until_caught_up(stop)
        seconds = time.monotonic() - begin
        if worker.stopped:
            raise RuntimeError(str(worker.stopped))
        return min(reached.values()), seconds

    def read(self) -> int:
        """See `OurAirport`."""
        return sum(1 for _ in self._store.read())

    def handle(self, projection: str, events: int) -> float:
        """See `OurAirport`."""
        from django.db import transaction

        from rill_django.projections.registry import current_projections

        (found,) = current_projections().named([projection])
        read = list(self._store.read().limit(events))
        begin = time.monotonic()
        with transaction.atomic():
            for event in read:
                found.handlers[event.type](found, event)
        return time.monotonic() - begin

    def rebuild(self, projection: str, workers: int) -> None:
        """See `OurAirport`."""
        from rill_django.projections.rebuild import rebuild
        from rill_django.projections.registry import current_projections

        (found,) = current_projections().named([projection])
        if workers == 1:
            rebuild(found)
        else:
            rebuild(found, workers=workers)

    def check(self, projection: str) -> None:
        """See `OurAirport`."""
        from example_project.flights.domain import Flight
        from rill_django.models import Event
        from rill_django.projections.registry import current_projections

        (found,) = current_projections().named([projection])
        rows = found.models[0]._base_manager.count()
        flights = Event.objects.filter(type=Flight.scheduled.name).count()
        if rows != flights:
            raise RuntimeError(f"{projection} has {rows} rows of {flights} flights")

    def latencies(self, samples: int, tag: str) -> list[float]:
        """See `OurAirport`."""
        from benchmarks.flights.latency import latencies

        return latencies(samples, tag)

    def memory(self, projection: str) -> dict[str, float]:
        """See `OurAirport`."""
        command = [sys.executable, "-m", "benchmarks.flights.memory", projection]
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found: dict[str, float] = json.loads(answer.stdout)
        return found
