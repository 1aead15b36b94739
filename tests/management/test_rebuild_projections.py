"""`rebuild_projections` on a real database, in processes of its own."""

import signal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from rill_django.models import Checkpoint
from rill_django.projections.worker import catch_up
from tests.bank.models import AuditLine, Balance
from tests.patience import HOPE_SECONDS
from tests.projections.rebuilds import append_history, contents, held_rebuild

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("bank.Audit", "bank.Balances", "bank.Branches")


def run(*arguments):
    out = StringIO()
    call_command("rebuild_projections", *arguments, stdout=out)
    return out.getvalue()


def test_verify_says_what_differs_and_exits_with_1():
    append_history(5, 2)
    catch_up(*OURS)
    out = run("bank.Balances", "--verify")
    assert "bank.Balances is as the log says, at position 15." in out
    assert "bank.Balance: 0 missing, 0 extra, 0 different (rows matched by number)" in out
    Balance.objects.filter(pk="3").update(owner="thief")
    with pytest.raises(CommandError) as found:
        run("bank.Balances", "bank.Audit", "--verify")
    assert found.value.returncode == 1
    text = str(found.value)
    assert "bank.Balances is not as the log says, at position 15:" in text
    assert "different: number='3'\n      owner: 'thief' should be 'owner 3'" in text
    assert "bank.Audit" not in text
    assert Balance.objects.get(pk="3").owner == "thief"


def test_in_place():
    append_history(5, 2)
    catch_up("bank.Balances")
    Balance.objects.update(owner="x")
    assert "rebuilt up to position 15" in run("bank.Balances", "--in-place", "--no-input")
    assert not Balance.objects.filter(owner="x").exists()
    with pytest.raises(CommandError, match="cannot be done --in-place"):
        run("--verify", "--in-place")


def test_several_at_once_in_processes():
    append_history(20, 9)
    catch_up(*OURS)
    before = contents()
    AuditLine.objects.all().delete()
    Balance.objects.update(balance=0)
    out = run(*OURS, "--no-input", "--workers", "2")
    for name in OURS:
        assert f"{name} is rebuilt up to position 200." in out
    assert "3 projections: 600 of 600 events" in out
    assert contents() == before
    assert "is as the log says" in run(*OURS, "--verify", "--workers", "3")


def test_no_projection_in_a_database():
    with pytest.raises(CommandError, match="There are no projections"):
        run("--database", "elsewhere", "--no-input")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_the_next_one_finishes(number, workers):
    append_history(100, 9)
    catch_up(*OURS)
    before = contents()
    names = ("bank.Balances", "bank.Branches")
    with held_rebuild(*names, "--no-input", "--batch-size=10", f"--workers={workers}") as rebuilder:
        rebuilder.send_signal(number)
        said, _ = rebuilder.communicate("\n", timeout=HOPE_SECONDS)
    assert "Traceback" not in said
    assert contents() == before
    # Processes of their own may be through before they are told.
    assert rebuilder.returncode == 1 or workers == "2"
    if rebuilder.returncode == 1:
        assert "was stopped at position" in said
    run(*OURS, "--no-input")
    assert contents() == before
    assert not Checkpoint.objects.filter(is_beside=True).exists()
