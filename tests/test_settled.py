"""Whatever promises "all that is committed" waits for another process that is just giving positions."""

from io import StringIO
from itertools import takewhile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rill_django.integrity.exporting import Export, Wanted
from rill_django.integrity.verification import verify
from rill_django.projections.rebuild import rebuild
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.store import sequencer
from rill_django.store.orm import DjangoEventStore
from rill_django.store.subscription import CaughtUp
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.bank.projections import Balances
from tests.sequencers import held_sequencer, let_go_when_waited_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
    ),
]

NAME = Balances.name


def balance():
    return Balance.objects.get(number="1").balance


def once():
    call_command("run_projections", NAME, once=True, verbosity=0)
    return balance()


def caught_up():
    catch_up(NAME)
    return balance()


def rebuilt():
    rebuild(Balances())
    return balance()


def exported():
    out = StringIO()
    call_command("export_events", stdout=out, verbosity=0)
    return sum('"streamversion"' in line for line in out.getvalue().splitlines()) - 1


def told():
    items = DjangoEventStore().subscribe()
    return len(list(takewhile(lambda one: not isinstance(one, CaughtUp), items))) - 1


PROMISES = {
    "catch_up": caught_up,
    "run_projections --once": once,
    "rebuild": rebuilt,
    "an export": lambda: Export(DjangoEventStore(), Wanted()).upto - 1,
    "export_events": exported,
    "verify_events": lambda: verify(DjangoEventStore()).events - 1,
    "CaughtUp": told,
    "head": lambda: DjangoEventStore().head() - 1,
}


@pytest.fixture
def account():
    Account.open.transact("1", owner="Ann").unwrap()
    catch_up(NAME)
    Account.deposit.transact("1", amount=1).unwrap()
    Account.deposit.transact("1", amount=1).unwrap()


@pytest.mark.parametrize("promise", PROMISES)
def test_it_waits(account, promise, monkeypatch):
    with let_go_when_waited_for(monkeypatch) as waits:
        assert PROMISES[promise]() == 2
        assert waits


@pytest.mark.parametrize(
    "command",
    [("run_projections", NAME, "--once"), ("export_events",), ("verify_events",)],
    ids=lambda command: command[0],
)
def test_a_command_fails_when_it_waits_for_too_long(account, command, monkeypatch):
    monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
    with held_sequencer(), pytest.raises(CommandError, match="holds the sequencer's lock"):
        call_command(*command, stdout=StringIO(), verbosity=0)
    assert balance() == 0


def test_a_rebuild_leaves_the_rows_when_it_waits_for_too_long(account, monkeypatch):
    monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
    with held_sequencer(), pytest.raises(CommandError, match="holds the sequencer's lock"):
        call_command("rebuild_projections", NAME, "--no-input", stdout=StringIO())
    assert balance() == 0
    assert rebuilt() == 2


def test_a_worker_and_a_look_at_the_state_wait_for_nobody(account, monkeypatch):
    monkeypatch.setattr(sequencer.time, "sleep", None)
    with held_sequencer():
        ProjectionWorker([NAME]).run_once()
        (status,) = projection_statuses(DjangoEventStore(), names=[NAME])
        assert status.head == 1
        assert DjangoEventStore().waiting().number == 2


assert connection  # for the conditions of skipif
