"""Records flights that have been reported: as commands, so that the domain decides about each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from example_project.flights.domain import Flight
from example_project.flights.reports import Report
from rill_django import ConflictError, Ok, Rejected, commit_all, get_all, metadata
from rill_django.domain.messages import EventMessage
from rill_django.stopping import Stop

ACTOR = "Bureau of Transportation Statistics"
REASON = "on-time performance reports of 2013"

FLIGHTS_PER_COMMIT = 500
"""Flights that are fetched in one query and stored in one statement."""


@dataclass
class Tally:
    """What became of the reports.

    Attributes:
        recorded: flights that are new in the log.
        events: their events.
        already_there: flights that were in the log before.
        refused: flights that the domain did not accept, by reason.
    """

    recorded: int = 0
    events: int = 0
    already_there: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def flights(self) -> int:
        """How many reports have been dealt with."""
        return self.recorded + self.already_there + self.refused.total()

    def count(self, result: Ok[Flight] | Rejected) -> None:
        """Note what became of one."""
        match result:
            case Ok(events=events):
                self.recorded += 1
                self.events += len(events)
            case Rejected(reason="already-scheduled"):
                self.already_there += 1
            case Rejected(reason=reason):
                self.refused[reason] += 1


def record(
    reports: Iterable[Report],
    *,
    stop: Stop | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Tally:
    """Record all flights that are not in the log yet.

    Args:
        stop: once set, the batch at hand is finished and the rest is left. Later it can be gone on with.
        progress: told after every batch how many reports have been dealt with.
    """
    tally = Tally()
    with metadata(actor=ACTOR, reason=REASON):
        for batch in batches(reports, FLIGHTS_PER_COMMIT):
            if stop is not None and stop.is_set():
                break
            for result in record_batch(batch):
                tally.count(result)
            progress(tally.flights)
    return tally


def record_batch(batch: list[Report]) -> list[Ok[Flight] | Rejected]:
    """Record some flights, all of them or none; the domain decides about each.

    A flight that is in the log already is rejected, ``already-scheduled``.
    """
    while True:
        flights = get_all(Flight(one.carrier, one.number, one.date, one.origin) for one in batch)
        decisions = [decide(flight, report) for flight, report in zip(flights, batch, strict=True)]
        # Lost to somebody who records the same flights: fetched anew, they are there already.
        with suppress(ConflictError):
            return commit_all(decisions, occurred_at=occurred_at)


def occurred_at(event: EventMessage) -> datetime | None:
    """Return when an event happened, as far as it is reported: of departures only."""
    return getattr(event, "at", None)


def decide(flight: Flight, report: Report) -> Flight | Rejected:
    """Ask the flight for everything that is reported of it, in the order in which it happened.

    Each command decides on what the events before it made of the flight. Nothing is stored here; a
    rejection of one is a rejection of all.
    """
    decision = flight.schedule(
        report.destination,
        report.scheduled_at,
        tail_number=report.tail_number,
        distance=report.distance,
    )
    if isinstance(decision, Rejected):
        return decision
    if report.departed_at is None:
        return decision.cancel()
    decision = decision.depart(report.departed_at)
    if isinstance(decision, Rejected):
        return decision
    if report.arrival_delay is None:
        return decision.divert()
    return decision.arrive(report.arrival_delay, report.air_time)


def batches(reports: Iterable[Report], size: int) -> Iterator[list[Report]]:
    """Yield the reports in lists of at most ``size``."""
    left = iter(reports)
    while batch := list(islice(left, size)):
        yield batch
