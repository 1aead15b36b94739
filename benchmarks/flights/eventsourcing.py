"""PyPI's eventsourcing: its projection runner, as its documentation writes a materialised view."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier

from benchmarks.flights.data import reports
from example_project.flights.reports import Report

# It sends an INSERT per event in one pipeline, which stalls when that gets too long.
SAVED_AT_ONCE = 300
LOOK_EVERY_SECONDS = 0.005

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    id uuid PRIMARY KEY,
    carrier varchar(2) NOT NULL, number integer NOT NULL, date date NOT NULL,
    origin varchar(3) NOT NULL, destination varchar(3) NOT NULL,
    tail_number varchar(10) NOT NULL, distance integer, scheduled_at timestamptz NOT NULL,
    status varchar(12) NOT NULL, departure_delay integer, arrival_delay integer, air_time integer,
    UNIQUE (carrier, number, date, origin))
"""
_INDEX = "CREATE INDEX IF NOT EXISTS {index} ON {table} (scheduled_at, origin, carrier, number)"
_INSERT = """
INSERT INTO {table} (id, carrier, number, date, origin, destination, tail_number, distance,
                     scheduled_at, status)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'scheduled')
"""
_DEPARTED = "UPDATE {table} SET status = 'departed', departure_delay = %s WHERE id = %s"
_ARRIVED = "UPDATE {table} SET status = 'arrived', arrival_delay = %s, air_time = %s WHERE id = %s"
_ENDED = "UPDATE {table} SET status = %s WHERE id = %s"


class Flight(Aggregate):
    """One departure."""

    @event("Scheduled")
    def __init__(
        self,
        carrier: str,
        number: int,
        date: str,
        origin: str,
        destination: str,
        departure_at: datetime,
        tail_number: str | None,
        distance: int | None,
    ) -> None:
        self.departure_at = departure_at
        self.status = "scheduled"

    @staticmethod
    def create_id(carrier: str, number: int, date: str, origin: str) -> UUID:
        """Return the id that belongs to a flight."""
        return uuid5(NAMESPACE_URL, f"{carrier}/{number}/{date}/{origin}")

    @event("Departed")
    def depart(self, at: datetime, delay: int) -> None:
        """Leave the gate."""
        self.status = "departed"

    @event("Arrived")
    def arrive(self, delay: int, air_time: int | None) -> None:
        """Reach the gate at the destination."""
        self.status = "arrived"

    @event("Cancelled")
    def cancel(self) -> None:
        """Call the flight off."""
        self.status = "cancelled"

    @event("Diverted")
    def divert(self) -> None:
        """End elsewhere."""
        self.status = "diverted"


class Flights(Application[UUID]):
    """The application."""

    name = "flights"


class DepartureRows(PostgresTrackingRecorder):
    """The materialised view: a row per flight, and the tracking in the same transaction."""

    def __init__(self, datastore: Any, **options: Any) -> None:
        super().__init__(datastore, **options)
        table = self.tracking_table_name.replace("_tracking", "")
        names = {
            "table": Identifier(datastore.schema, table),
            "index": Identifier(f"{table}_order"),
        }
        self.reached = 0
        self._insert, self._departed, self._arrived, self._ended = (
            SQL(one).format(**names) for one in (_INSERT, _DEPARTED, _ARRIVED, _ENDED)
        )
        self.sql_create_statements += [SQL(one).format(**names) for one in (_TABLE, _INDEX)]

    def scheduled(self, event: Any, tracking: Tracking) -> None:
        """Insert a flight."""
        values = (event.carrier, event.number, event.date, event.origin, event.destination)
        more = (event.tail_number or "", event.distance, event.departure_at)
        self._write(tracking, self._insert, (event.originator_id, *values, *more))

    def departed(self, event: Any, tracking: Tracking) -> None:
        """Note a departure."""
        self._write(tracking, self._departed, (event.delay, event.originator_id))

    def arrived(self, event: Any, tracking: Tracking) -> None:
        """Note an arrival."""
        self._write(tracking, self._arrived, (event.delay, event.air_time, event.originator_id))

    def ended(self, event: Any, status: str, tracking: Tracking) -> None:
        """Note that there is nothing more to come."""
        self._write(tracking, self._ended, (status, event.originator_id))

    def _write(self, tracking: Tracking, statement: Any, values: tuple[Any, ...]) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(statement, values, prepare=True)
        self.reached = tracking.notification_id


class DepartureBoard(Projection[DepartureRows]):
    """The projection."""

    name = "departureboard"

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """See eventsourcing."""
        raise NotImplementedError(type(domain_event))

    @process_event.register(Flight.Scheduled)
    def _(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.scheduled(domain_event, tracking)

    @process_event.register(Flight.Departed)
    def _(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.departed(domain_event, tracking)

    @process_event.register(Flight.Arrived)
    def _(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.arrived(domain_event, tracking)

    @process_event.register(Flight.Cancelled)
    def _(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.ended(domain_event, "cancelled", tracking)

    @process_event.register(Flight.Diverted)
    def _(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.ended(domain_event, "diverted", tracking)


def flight_of(report: Report) -> Flight:
    """Return a flight with all that is reported of it."""
    flight = Flight(
        report.carrier,
        report.number,
        report.date.isoformat(),
        report.origin,
        report.destination,
        report.scheduled_at,
        report.tail_number,
        report.distance,
    )
    if report.departed_at is None:
        flight.cancel()
        return flight
    flight.depart(
        report.departed_at, int((report.departed_at - report.scheduled_at).total_seconds() / 60)
    )
    if report.arrival_delay is None:
        flight.divert()
    else:
        flight.arrive(report.arrival_delay, report.air_time)
    return flight


class EventSourcing:
    """See `Airport`."""

    def __init__(self, database: Mapping[str, Any]) -> None:
        self._database = database
        self._environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": database["NAME"],
            "POSTGRES_HOST": database["HOST"],
            "POSTGRES_PORT": str(database["PORT"] or 5432),
            "POSTGRES_USER": database["USER"],
            "POSTGRES_PASSWORD": database["PASSWORD"],
        }
        self._flights = 0
        self._events = 0

    def install(self) -> None:
        """See `Airport`."""
        Flights(env=self._environment).close()

    def close(self) -> None:
        """See `Airport`: no connection outlives a method."""

    def record(self, flights: int) -> int:
        """See `Airport`."""
        if self._flights < flights:
            app = Flights(env=self._environment)
            new = [flight_of(one) for one in reports(self._flights, flights)]
            for begin in range(0, len(new), SAVED_AT_ONCE):
                app.save(*new[begin : begin + SAVED_AT_ONCE])
            self._flights += len(new)
            self._events = app.recorder.max_notification_id() or 0
            app.close()
            self._execute("VACUUM ANALYZE")
        return self._events

    def forget(self, projections: Sequence[str]) -> None:
        """See `Airport`."""
        name = DepartureBoard.name
        self._execute(f"DROP TABLE IF EXISTS {name}, {name}_tracking", "CHECKPOINT")

    def catch_up(self, projections: Sequence[str], events: int | None = None) -> tuple[int, float]:
        """See `Airport`."""
        last = min(events or self._events, self._events)
        begin = time.monotonic()
        with ProjectionRunner(
            application_class=Flights,
            projection_class=DepartureBoard,
            view_class=DepartureRows,
            env=self._environment,
        ) as runner:
            # Not its wait(), which looks less and less often.
            while runner.view.reached < last and not runner.is_interrupted.is_set():
                time.sleep(LOOK_EVERY_SECONDS)
            # Before its threads are stopped, which takes a moment.
            return runner.view.reached, time.monotonic() - begin

    def check(self, projection: str) -> None:
        """See `Airport`."""
        with self._connected() as connection:
            found = connection.execute(f"SELECT count(*) FROM {DepartureBoard.name}").fetchone()
        if found != (self._flights,):
            raise RuntimeError(f"there are {found} rows of {self._flights} flights")

    def _execute(self, *statements: str) -> None:
        with self._connected() as connection:
            for statement in statements:
                connection.execute(statement)

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            dbname=self._database["NAME"],
            host=self._database["HOST"] or None,
            port=self._database["PORT"] or None,
            user=self._database["USER"] or None,
            password=self._database["PASSWORD"] or None,
            autocommit=True,
        )
