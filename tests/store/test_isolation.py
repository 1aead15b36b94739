"""Commands, workers and rebuilds at every isolation level; and many commands on one stream."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Barrier

import pytest
from django.db import connection, connections, transaction

from rill_django import Conflict, Ok
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.store.deadlocks import SnapshotTooOld
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.bank.projections import Balances
from tests.patience import HOPE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
COMMANDS = 8

LEVELS = ["read committed", "repeatable read", "serializable"]


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """All connections are at this level."""
    if connection.vendor == "sqlite":
        if request.param != LEVELS[0]:
            pytest.skip("SQLite has no levels")
    else:
        at_level(request.param, monkeypatch)
    yield request.param
    connection.close()


def at_level(name, monkeypatch):
    settings = connections.settings["default"]
    level = name
    if connection.vendor == "postgresql":
        level = getattr(import_module("psycopg").IsolationLevel, name.upper().replace(" ", "_"))
    connection.close()
    monkeypatch.setitem(settings, "OPTIONS", {**settings["OPTIONS"], "isolation_level": level})
    assert connection.settings_dict["OPTIONS"]["isolation_level"] == level


def at_once(work):
    """Do work in so many threads at once; return all that they return."""
    barrier = Barrier(WRITERS)

    def run(number):
        try:
            barrier.wait(HOPE_SECONDS)
            return [work(number, turn) for turn in range(COMMANDS)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WRITERS) as pool:
        return [one for some in pool.map(run, range(WRITERS)) for one in some]


@pytest.fixture
def account():
    Account.open.transact("1", owner="Ann").unwrap()


@pytest.mark.usefixtures("level", "account")
def test_commands_that_meet_on_one_stream_are_carried_out():
    results = at_once(lambda number, turn: Account.deposit.transact("1", 1))
    assert Counter(map(type, results)) == {Ok: WRITERS * COMMANDS}
    assert Account.get("1").balance == WRITERS * COMMANDS


@pytest.mark.usefixtures("level", "account")
def test_keys_that_come_at_the_same_moment_are_carried_out_once():
    results = at_once(
        lambda number, turn: Account.deposit.transact("1", 1, idempotency_key=f"{turn}")
    )
    assert Counter(map(type, results)) == {Ok: WRITERS * COMMANDS}
    assert len({result.events[0].identity for result in results}) == COMMANDS
    assert Account.get("1").balance == COMMANDS


@pytest.mark.usefixtures("level", "account")
def test_projections_are_kept_up_to_date_and_built_anew_meanwhile():
    def work(number, turn):
        if number == 0:
            catch_up("bank.Balances", "bank.Audit")
        elif number == 1 and turn < 2:
            rebuild(Balances(), in_place=bool(turn))
        else:
            Account.deposit.transact("1", 1, idempotency_key=f"{number}.{turn}").unwrap()

    at_once(work)
    catch_up("bank.Balances", "bank.Audit")
    account = Account.get("1")
    assert Balance.objects.get().balance == account.balance == 3 * COMMANDS - 2
    assert AuditLine.objects.count() == account.version + 1 == DjangoEventStore().head()


class TestInsideATransactionThatDoesNotSeeIt:
    """Whoever was faster stays unseen for its whole length."""

    @pytest.fixture(autouse=True)
    def at_repeatable_read(self, monkeypatch, account):
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has no levels")
        at_level("repeatable read", monkeypatch)
        yield
        connection.close()

    @staticmethod
    def meanwhile(work):
        def run():
            try:
                return work()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()

    def test_a_used_key_is_told(self):
        def send():
            return Account.deposit.transact("1", 1, idempotency_key="k")

        with transaction.atomic():
            assert Account.get("1").balance == 0
            self.meanwhile(send)
            with pytest.raises(SnapshotTooOld, match="begin the transaction anew"):
                send()
        assert send().unwrap().balance == 1

    def test_a_command_is_not_tried_in_vain(self, monkeypatch):
        tries = []
        monkeypatch.setattr("rill_django.store.pauses.time.sleep", tries.append)
        with transaction.atomic():
            assert Account.get("1").balance == 0
            self.meanwhile(lambda: Account.deposit.transact("1", 1))
            assert isinstance(Account.deposit.transact("1", 1), Conflict)
        assert len(tries) <= 1
        assert Account.deposit.transact("1", 1).unwrap().balance == 2
