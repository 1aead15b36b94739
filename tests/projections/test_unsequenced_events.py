"""Committed events without a position are a part of every projection's lag, wherever that is told."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from rill_django import RowProjection, on
from rill_django.models import Checkpoint
from rill_django.projections import health
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import catch_up
from rill_django.store import sequencer
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.sequencers import held_sequencer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
    ),
]

NAME = "bank.Balances"


@pytest.fixture
def held():
    """Two events are applied, and three wait, since somebody is at the sequencer."""
    Account.open.transact("1", owner="Ann").unwrap()
    Account.deposit.transact("1", amount=1).unwrap()
    catch_up()
    with held_sequencer() as let_go:
        for _ in range(3):
            Account.deposit.transact("1", amount=1).unwrap()
        yield let_go


@pytest.fixture
def for_long(held, monkeypatch):
    """He has been there for longer than anybody waits."""
    monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sequencer.time, "sleep", lambda seconds: None)
    return held


def status(name=NAME):
    (found,) = projection_statuses(names=[name])
    return found


def shown(*arguments):
    out, err = StringIO(), StringIO()
    try:
        call_command("projection_status", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_the_lag_counts_them(held):
    found = status()
    assert (found.description, found.lag, found.position, found.head) == ("behind", 3, 2, 2)
    assert found.progress == pytest.approx(2 / 5)
    assert found.lag_seconds >= found.unsequenced.oldest_seconds > 0
    assert (found.unsequenced.number, found.unsequenced_time, found.lag_time) == (
        3,
        "under 1 s",
        "under 1 s",
    )
    held()
    found = status()
    assert (found.lag, found.head, found.unsequenced.number, found.unsequenced_time) == (
        3,
        5,
        0,
        "",
    )
    catch_up()
    assert (status().description, status().lag, status().lag_seconds) == ("up to date", 0, 0.0)


def test_they_come_on_top_of_what_has_a_position(held):
    Checkpoint.objects.filter(name=NAME).update(position=1)
    assert (status().lag, status().progress) == (4, pytest.approx(1 / 5))


def test_each_partition_lags_behind_them(held):
    Checkpoint.objects.filter(name=NAME).delete()
    for partition, position in enumerate((2, 1)):
        Checkpoint.objects.create(
            name=NAME, partition=partition, partitions=2, position=position, version=1
        )
    assert [one.lag for one in status().pieces] == [3, 4]
    assert status().lag == 4


def test_one_that_never_ran_lags_behind_them_too():
    with held_sequencer():
        Account.open.transact("1", owner="Ann").unwrap()
        assert (status().description, status().lag, status().head) == ("never run", 1, 0)


def test_a_checkpoint_of_another_log_is_told_without_waiting(held, monkeypatch):
    monkeypatch.setattr(sequencer.time, "sleep", None)
    Checkpoint.objects.filter(name=NAME).update(position=9)
    found = status()
    assert found.description == "stopped"
    assert "not in the log, which ends at 2" in found.reason


def test_an_inline_projection_has_them_already():
    with isolated_projections():

        class Owners(RowProjection):
            model = Balance
            key = "number"
            inline = True

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

        with held_sequencer():
            Account.open.transact("1", owner="Ann").unwrap()
            found = status(Owners.name)
            assert (found.description, found.lag, found.lag_seconds) == ("inline", 0, 0.0)
            assert found.unsequenced.number == 1
            Checkpoint.objects.update(version=0)
            assert (status(Owners.name).description, status(Owners.name).lag) == ("not built", 1)
            Checkpoint.objects.all().delete()
            assert status(Owners.name).description == "not built"


def test_bounds_of_the_lag_count_them(held):
    assert health.check([NAME]) == []
    assert [str(one) for one in health.check([NAME], max_lag=2)] == [
        f"{NAME} is 3 events behind, the oldest recorded under 1 s ago"
    ]
    assert health.check([NAME], max_lag=3) == []
    assert health.check([NAME], max_lag_seconds=1e-9)


def test_a_log_that_gives_no_positions_is_a_problem_without_bounds(for_long):
    (problem,) = health.check()
    assert problem.projection == ""
    assert str(problem).startswith(
        "the log gives no positions: 3 events wait, the oldest recorded under 1 s ago; `manage.py"
    )
    for_long()
    assert health.check() == []


def test_a_session_of_others_is_not_named_to_whoever_asks_for_health(for_long):
    (problem,) = health.check()
    assert "projection_status" in str(problem)
    assert "End it" not in str(problem)


def test_the_command_counts_them_and_its_exit_code_tells(held):
    out, wrong = shown(NAME)
    assert wrong == ""
    assert out.splitlines()[1].split()[1:4] == ["behind", "2", "3"]
    assert "Not in the order of the log yet: 3 events wait, the oldest recorded under 1 s ago." in (
        out
    )
    assert shown(NAME, "--max-lag", "2")[1] == (
        f"{NAME} is 3 events behind, the oldest recorded under 1 s ago."
    )
    held()
    out, wrong = shown(NAME)
    assert "Not in the order" not in out


def test_the_command_says_who_keeps_them_and_how_to_end_that(for_long):
    out, wrong = shown(NAME)
    assert "holds the sequencer's lock and does not go on. End it: " in out
    assert wrong.startswith("the log gives no positions: 3 events wait")


def test_json_has_it(for_long):
    found = json.loads(shown(NAME, "--format", "json")[0])
    assert (found["head"], found["unsequenced_events"]) == (2, 3)
    assert found["unsequenced_seconds"] >= 0
    assert "End it" in found["held_by"]
    assert found["projections"][0]["lag_events"] == 3
    for_long()
    found = json.loads(shown(NAME, "--format", "json")[0])
    assert (found["head"], found["unsequenced_events"], found["held_by"]) == (5, 0, None)


def test_metrics_tell_it(held):
    prometheus_client = pytest.importorskip("prometheus_client")
    from rill_django.contrib.prometheus import StatusCollector

    registry = prometheus_client.CollectorRegistry()
    registry.register(StatusCollector())
    labels = {"projection": NAME, "partition": "0"}
    value = registry.get_sample_value
    assert value("rill_log_position") == 2
    assert value("rill_log_unsequenced_events") == 3
    assert value("rill_log_unsequenced_seconds") > 0
    assert value("rill_projection_lag_events", labels) == 3
    assert value("rill_projection_lag_seconds", labels) > 0
    held()
    assert value("rill_log_unsequenced_events") == 0
    assert value("rill_log_unsequenced_seconds") == 0


def pages(admin_client):
    addresses = (
        reverse("admin:rill_django_checkpoint_changelist"),
        reverse("admin:rill_django_checkpoint_projection", args=[NAME]),
    )
    return [admin_client.get(address).content.decode() for address in addresses]


def test_the_admin_tells_it(held, admin_client):
    for page in pages(admin_client):
        assert "3 committed events wait for their positions" in page
        assert "up to date</span>" not in page
        assert "End it" not in page
    held()
    for page in pages(admin_client):
        assert "wait for their positions" not in page


def test_the_admin_says_who_keeps_them(for_long, admin_client):
    listed, of_one = pages(admin_client)
    assert "End it: " in listed
    assert "End it: " in of_one
    assert "End what keeps committed events from their positions" in of_one


def test_a_look_costs_one_small_query_for_them(django_assert_num_queries):
    """Who holds the lock is asked only when something has waited for long."""
    Account.open.transact("1", owner="Ann").unwrap()
    catch_up()
    status()
    with django_assert_num_queries(5):  # The look, what waits, checkpoints, trust, parked events.
        status()


assert connection  # for the conditions of skipif
