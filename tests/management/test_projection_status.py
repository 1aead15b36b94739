"""`projection_status`: a table, JSON, an exit code."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.projections import Balances

pytestmark = pytest.mark.django_db

OURS = ("bank.Audit", "bank.Balances")


@pytest.fixture(autouse=True)
def history():
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 1).unwrap()


def run(*arguments):
    out, err = StringIO(), StringIO()
    try:
        call_command("projection_status", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), error
    return out.getvalue(), err.getvalue()


def test_the_columns_are_aligned():
    catch_up("bank.Audit")
    out, said = run(*OURS)
    head, audit, balances = out.splitlines()
    assert head.split() == ["projection", "state", "position", "behind", "for", "last", "moved"]
    assert audit.split()[:5] == ["bank.Audit", "up", "to", "date", "2"]
    assert balances.split()[1:3] == ["never", "run"]
    assert head.index("behind") + len("behind") == audit.index(" 0  ") + 2
    assert audit.index("up to date") == balances.index("never run") == head.index("state")
    assert "run_projections" in said


def test_partitions_and_rebuilds_are_lines_of_their_own():
    for partition, position in enumerate((2, 1)):
        Checkpoint.objects.create(
            name="bank.Balances", partition=partition, partitions=2, position=position
        )
    Checkpoint.objects.create(name="bank.Balances", is_beside=True, position=1)
    lines = run("bank.Balances")[0].splitlines()
    assert "part" in lines[0].split()
    assert [line.split()[1:3] for line in lines[1:]] == [
        ["1/2", "up"],
        ["2/2", "behind"],
        ["beside", "rebuilding"],
    ]


def test_one_that_stands_still_is_shown_with_its_reason_and_fails():
    stopped = Checkpoint.objects.create(name="bank.Balances", position=1)
    stopped.stop("bank.Account/1@1", "Traceback (most recent call last):\n  x\nValueError: no\n")
    out, error = run(*OURS)
    assert "bank.Balances at bank.Account/1@1:\n  ValueError: no" in out
    assert str(error) == "bank.Balances stands still at bank.Account/1@1."
    assert error.returncode == 1


def test_what_a_handler_said_is_told_once_with_its_event(monkeypatch):
    def broken(self, row, event):
        raise ValueError("no such branch")

    monkeypatch.setitem(Balances.handlers, "bank.Account.deposited", broken)
    ProjectionWorker(["bank.Balances"]).run_until_caught_up()
    out, error = run("bank.Balances")
    assert out.endswith("\nbank.Balances at bank.Account/1@1:\n  ValueError: no such branch\n")
    assert isinstance(error, CommandError)
    (balances,) = json.loads(run("bank.Balances", "--format", "json")[0])["projections"]
    assert balances["error"] == "ValueError: no such branch"
    assert balances["failed_event"] == "bank.Account/1@1"


def test_a_lag_beyond_the_bound_fails():
    assert isinstance(run(*OURS)[1], str)
    assert isinstance(run(*OURS, "--max-lag", "2")[1], str)
    _, error = run(*OURS, "--max-lag", "1")
    assert "bank.Audit is 2 events behind" in str(error)
    assert "bank.Balances is 2 events behind" in str(error)
    assert isinstance(run(*OURS, "--max-lag-seconds", "3600")[1], str)
    assert isinstance(run(*OURS, "--max-lag-seconds", "0.0000001")[1], CommandError)


def test_parked_events_are_shown_and_fail():
    catch_up(*OURS)
    ParkedEvent.objects.create(projection="bank.Audit", position=1, event="x@1", keys=["1"])
    out, error = run(*OURS)
    assert "parked" in out.splitlines()[0]
    assert str(error) == "bank.Audit has parked 1 event."


def test_json():
    catch_up("bank.Audit")
    out, _ = run(*OURS, "--format", "json")
    found = json.loads(out)
    assert found["head"] == 2
    audit, balances = found["projections"]
    assert (audit["name"], audit["state"], audit["position"], audit["lag_events"]) == (
        "bank.Audit",
        "up to date",
        2,
        0,
    )
    assert (balances["state"], balances["lag_events"], balances["updated_at"]) == (
        "never run",
        2,
        None,
    )
    assert balances["lag_seconds"] > 0


def test_json_is_whole_also_when_it_fails():
    out, error = run(*OURS, "--format", "json", "--max-lag", "1")
    assert isinstance(error, CommandError)
    assert len(json.loads(out)["projections"]) == 2


def test_without_projections_it_says_what_to_do():
    with isolated_projections():
        assert "Write one in the projections.py" in run()[0]
        assert json.loads(run("--format", "json")[0]) == {
            "head": 0,
            "unsequenced_events": 0,
            "unsequenced_seconds": 0.0,
            "held_by": None,
            "projections": [],
        }


def test_an_unknown_name_is_an_error():
    assert "no projection 'nope'" in str(run("nope")[1])
