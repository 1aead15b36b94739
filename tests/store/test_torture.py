"""The torture test, short; ``python -m benchmarks.torture`` runs it long. And does its checker notice?"""

import json
import os
import subprocess
import sys

import pytest
from django.db import connection

from benchmarks import DATABASES_VARIABLE
from benchmarks.torture.checker import check, lags
from benchmarks.torture.ledger import Appended, Entry
from benchmarks.torture.tables import Delivery
from tests.patience import HOPE_SECONDS
from tests.servers import ROOT

LENGTH = ("--seconds", "2", "--transactions", "40")
CONNECTING = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_repeated_or_out_of_order_whatever_happens():
    if "memory" in str(connection.settings_dict["NAME"]):
        pytest.skip("other processes cannot see a database in memory")
    database = {name: connection.settings_dict[name] for name in CONNECTING}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.torture", "--json", *LENGTH],
        capture_output=True,
        text=True,
        timeout=2 * HOPE_SECONDS,
        cwd=ROOT,
        env={**os.environ, DATABASES_VARIABLE: json.dumps({"default": database}, default=str)},
    )
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert report["findings"] == [], report
    assert report["committed_events"] > 100, report
    assert {"committed", "rolled back"} <= report["transactions"].keys(), report
    assert report["kills"] >= 1, report


def entry(*events, outcome="committed", discarded=(), ended_at=100.0):
    appended = [Appended("t/1", version, marker) for version, marker in events]
    return Entry("w0", outcome, appended, list(discarded), ended_at, 0.0)


def deliveries(*markers, stream="t/1"):
    return [
        Delivery(position, stream, position - 1, marker, 100.5)
        for position, marker in enumerate(markers, start=1)
    ]


LEDGER = [
    entry((0, "a"), (1, "b")),
    entry(outcome="rolled back", discarded=["x"]),
    entry((2, "c")),
]


def test_the_checker_finds_nothing_where_nothing_is_wrong():
    assert check(LEDGER, {"p": deliveries("a", "b", "c"), "q": deliveries("a", "b", "c")}) == []


@pytest.mark.parametrize(
    ("seen", "finding"),
    [
        (deliveries("a", "b"), "p: 1 events lost, e.g. c"),
        (deliveries("a", "b", "c", "c"), "p: 1 events delivered more than once, e.g. c"),
        (deliveries("a", "b", "c", "x"), "p: 1 events delivered that were never committed, e.g. x"),
        (
            deliveries("a", "c", "b"),
            "p: 2 events delivered as another stream's or version's, e.g. c",
        ),
        (deliveries("a", "b", "c")[1:], "p: position 2 where 1 has to be"),
        (deliveries("a", "b", "c")[1:], "p: t/1@1 where version 0 has to be"),
    ],
)
def test_the_checker_finds(seen, finding):
    assert finding in check(LEDGER, {"p": seen})


def test_the_checker_compares_the_orders_of_pollers():
    other = [Delivery(1, "t/2", 0, "d", 0.0)]
    ledger = [*LEDGER, Entry("w1", "committed", [Appended("t/2", 0, "d")], [], 0.0, 0.0)]
    first = [*deliveries("a", "b", "c"), *other]
    second = [*other, *deliveries("a", "b", "c")]
    assert "the pollers have seen different orders" in check(ledger, {"p": first, "q": second})


def test_an_append_to_ones_own_stream_must_not_be_refused():
    wronged = entry(outcome="wrongly refused")
    assert check([*LEDGER, wronged], {"p": deliveries("a", "b", "c")}) == [
        "w0 was refused an append to a stream of its own"
    ]


def test_lag_is_measured_from_the_commit():
    assert lags(LEDGER, deliveries("a", "b", "c", "x")) == [0.5, 0.5, 0.5]
