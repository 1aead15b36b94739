"""What the worker tells about its work."""

import logging
from datetime import datetime, timedelta, timezone

import pytest

from rill_django.projections import observing
from rill_django.projections.observing import (
    BatchApplied,
    BatchFailed,
    Outcome,
    observe_batch,
    observe_failure,
    subscribe,
    unsubscribe,
)

LOGGER = "rill_django.projections"


@pytest.fixture
def seen():
    told = []
    listener = subscribe(told.append)
    yield told
    unsubscribe(listener)


def test_listeners_get_what_was_done(seen):
    now = datetime.now(timezone.utc)
    observe_batch("bank.Balances", 10, 15, 4, 0.5, partition=1, recorded_at=now)
    error = ValueError("no")
    observe_failure("bank.Balances", "bank.Account/1@3", error, outcome=Outcome.RETRY)
    applied, failed = seen
    assert applied == BatchApplied("bank.Balances", 1, 10, 15, 4, 0.5, now)
    assert (applied.lag, applied.rate) == (5, 8.0)
    assert failed == BatchFailed("bank.Balances", 0, "bank.Account/1@3", error, Outcome.RETRY)


def test_the_lag_in_seconds_is_the_age_of_the_last_event_if_others_wait():
    then = datetime.now(timezone.utc) - timedelta(minutes=2)
    batch = BatchApplied("x", 0, 10, 15, 4, 0.5, then)
    assert batch.lag_seconds == pytest.approx(120, abs=30)
    assert batch._replace(position=15).lag_seconds == 0
    assert batch._replace(recorded_at=None).lag_seconds == 0
    assert batch._replace(recorded_at=then + timedelta(hours=1)).lag_seconds == 0


def test_no_time_at_all_is_no_division_by_zero():
    assert BatchApplied("x", 0, 1, 1, 1, 0.0, None).rate == 0


def test_a_listener_that_fails_stops_nobody(seen, caplog):
    def broken(what):
        raise ZeroDivisionError

    subscribe(broken)
    after = []
    subscribe(after.append)
    try:
        observe_batch("bank.Balances", 1, 1, 1, 0.1)
    finally:
        unsubscribe(broken)
        unsubscribe(after.append)
    assert "broken" in caplog.text
    assert len(seen) == 1
    observing._listeners = tuple(one for one in observing._listeners if one == seen.append)


def test_the_record_of_a_batch_has_its_figures_as_fields(caplog):
    with caplog.at_level(logging.DEBUG, LOGGER):
        observe_batch("bank.Balances", 10, 15, 4, 0.5, partition=2)
    (record,) = caplog.records
    assert record.getMessage() == "projection bank.Balances is at 10: 4 events in 500.0 ms"
    assert (record.projection, record.partition, record.position) == ("bank.Balances", 2, 10)
    assert (record.events, record.duration) == (4, 0.5)


@pytest.mark.parametrize(
    ("outcome", "level", "says"),
    [
        (Outcome.RETRY, logging.WARNING, "will try again"),
        (Outcome.PARKED, logging.ERROR, "has parked"),
        (Outcome.STOPPED, logging.ERROR, "has stopped"),
    ],
)
def test_the_record_of_a_failure_is_as_loud_as_it_is_bad(caplog, outcome, level, says):
    with caplog.at_level(logging.DEBUG, LOGGER):
        observe_failure(
            "bank.Balances", "bank.Account/1@3", ValueError("no"), outcome=outcome, position=3
        )
    (record,) = caplog.records
    assert (record.levelno, record.event, record.position) == (level, "bank.Account/1@3", 3)
    assert says in record.getMessage()
    assert bool(record.exc_info) is (level == logging.ERROR)


def test_without_listeners_and_debugging_nothing_is_made(monkeypatch):
    monkeypatch.setattr(observing, "BatchApplied", None)
    observe_batch("bank.Balances", 10, 15, 4, 0.5)
