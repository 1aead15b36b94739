"""Figures for Prometheus."""

import socket
from urllib.request import urlopen

import pytest

from rill_django.projections import observing
from rill_django.projections.observing import Outcome, observe_batch, observe_failure
from rill_django.projections.worker import catch_up
from tests.bank.domain import Account

prometheus_client = pytest.importorskip("prometheus_client")

from rill_django.contrib import prometheus  # noqa: E402

BALANCES = {"projection": "bank.Balances", "partition": "0"}


@pytest.fixture
def no_listeners(monkeypatch):
    monkeypatch.setattr(observing, "_listeners", ())


@pytest.mark.django_db
def test_where_projections_stand_is_asked_of_the_database():
    registry = prometheus_client.CollectorRegistry()
    registry.register(prometheus.StatusCollector())

    def value(name, labels=BALANCES):
        return registry.get_sample_value(name, labels)

    Account.open.transact("1", "Ann")
    assert value("rill_projection_lag_events") == 1
    assert value("rill_projection_lag_seconds") > 0
    catch_up()
    assert value("rill_projection_position") == 1
    assert value("rill_projection_lag_events") == 0
    assert value("rill_projection_lag_seconds") == 0
    assert value("rill_projection_stopped") == 0
    assert value("rill_projection_parked_events") == 0
    assert value("rill_log_position", {}) == 1


@pytest.mark.django_db
def test_the_view(rf):
    answer = prometheus.metrics(rf.get("/metrics/"))
    assert answer["Content-Type"].startswith("text/plain")
    assert (
        b'rill_projection_position{partition="0",projection="bank.Balances"} 0.0' in answer.content
    )
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = prometheus.metrics(rf.get("/metrics/", headers=accept))
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_what_a_worker_does_is_counted(no_listeners):
    metrics = observing.subscribe(prometheus.WorkerMetrics())
    observe_batch("bank.Balances", 10, 15, 4, 0.5)
    observe_batch("bank.Balances", 15, 15, 5, 0.5)
    observe_failure("bank.Balances", "x@1", ValueError(), outcome=Outcome.PARKED)
    value = metrics.registry.get_sample_value
    assert value("rill_projection_events_total", BALANCES) == 9
    assert value("rill_projection_batch_seconds_count", BALANCES) == 2
    assert value("rill_projection_batch_seconds_sum", BALANCES) == 1
    assert value("rill_projection_failures_total", {**BALANCES, "outcome": "parked"}) == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_all_on_its_port(no_listeners):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = prometheus.serve(port)
    try:
        Account.open.transact("1", "Ann")
        observe_batch("bank.Balances", 0, 1, 4, 0.5)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        stop()
    assert 'rill_projection_events_total{partition="0",projection="bank.Balances"} 4.0' in text
    assert 'rill_projection_lag_events{partition="0",projection="bank.Balances"} 1.0' in text
    assert observing._listeners == ()
