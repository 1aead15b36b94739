"""Recording reports as commands."""

from dataclasses import replace
from itertools import islice
from threading import Event as Signal

import pytest

from example_project.flights import recording
from example_project.flights.dataset import Period
from example_project.flights.domain import Flight, Status
from example_project.flights.recording import record, record_batch
from rill_django import Ok, Rejected, commit, commit_all
from rill_django.models import Event
from rill_django.store.orm import DjangoEventStore


def first_reports(number):
    return list(islice(Period.DAY.reports(), number))


def flight_of(report):
    return Flight(report.carrier, report.number, report.date, report.origin)


@pytest.mark.django_db
def test_events_carry_their_source():
    record(first_reports(1))
    events = list(DjangoEventStore().read())
    assert [event.type for event in events] == [
        "flights.Flight.scheduled",
        "flights.Flight.departed",
        "flights.Flight.arrived",
    ]
    for event in events:
        assert event.metadata["actor"] == "Bureau of Transportation Statistics"
        assert event.metadata["reason"] == "on-time performance reports of 2013"
    scheduled, departed, arrived = events
    assert departed.occurred_at.isoformat() == "2013-01-01T05:17:00-05:00"
    assert scheduled.occurred_at == scheduled.recorded_at
    assert arrived.occurred_at == arrived.recorded_at


@pytest.mark.django_db
def test_a_flight_is_recorded_with_all_its_events_or_not_at_all():
    (report,) = first_reports(1)
    assert commit(flight_of(report).schedule(report.destination, report.scheduled_at)).unwrap()
    (result,) = record_batch([report])
    # Somebody else has scheduled it, so it is theirs: the report adds nothing to it.
    assert isinstance(result, Rejected)
    assert result.reason == "already-scheduled"
    assert Event.objects.count() == 1


@pytest.mark.django_db
def test_a_race_that_is_lost_to_the_same_flight_is_decided_anew(monkeypatch):
    (report,) = first_reports(1)
    committed = []

    def commit_after_another(decisions, **options):
        if not committed:
            committed.append(commit(decisions[0]))
        return commit_all(decisions, **options)

    monkeypatch.setattr(recording, "commit_all", commit_after_another)
    (result,) = record_batch([report])
    assert isinstance(committed[0], Ok)
    assert isinstance(result, Rejected)
    assert result.reason == "already-scheduled"
    assert Flight.get(report.carrier, report.number, report.date, report.origin).version == 2


@pytest.mark.django_db
def test_refusals_are_counted_by_reason(monkeypatch):
    reports = first_reports(3)

    def decide(flight, report):
        return flight.reject("no-such-aircraft") if report is reports[1] else flight.cancel()

    monkeypatch.setattr(recording, "decide", decide)
    tally = record(reports)
    assert tally.refused == {"no-such-aircraft": 1, "not-scheduled": 2}
    assert (tally.flights, tally.recorded, Event.objects.count()) == (3, 0, 0)


@pytest.mark.django_db
def test_a_stop_leaves_whole_batches(monkeypatch):
    monkeypatch.setattr(recording, "FLIGHTS_PER_COMMIT", 2)
    stop, done = Signal(), []

    def progress(number):
        done.append(number)
        if number == 4:
            stop.set()

    tally = record(first_reports(7), stop=stop, progress=progress)
    assert (tally.recorded, done) == (4, [2, 4])
    assert Event.objects.filter(version=0).count() == 4
    tally = record(first_reports(7))
    assert (tally.recorded, tally.already_there) == (3, 4)


@pytest.mark.django_db
def test_cancelled_and_diverted_flights():
    (report,) = first_reports(1)
    record([replace(report, departed_at=None, arrival_delay=None)])
    record([replace(report, number=9, arrival_delay=None)])
    keys = (report.date, report.origin)
    assert Flight.get(report.carrier, report.number, *keys).status is Status.CANCELLED
    assert Flight.get(report.carrier, 9, *keys).status is Status.DIVERTED
