"""Inline projections that are built, rebuilt, verified and replaced while commands go on."""

import random
from contextvars import copy_context
from operator import ge
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connection, connections, transaction

from rill_django import Ok, wait_for
from rill_django.models import Checkpoint
from rill_django.projections.inline.applying import OlderCode
from rill_django.projections.inline.locks import have_alone
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.rebuilding.errors import InsideTransaction
from rill_django.projections.status import projection_statuses
from rill_django.projections.waiting import NotCaughtUp
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch
from tests.patience import HOPE_SECONDS, wait_until, wait_until_locked_out
from tests.projections.inline_bank import at_once, balances, counters, lines, owners, projections

pytestmark = pytest.mark.django_db(transaction=True)


class Writers:
    """Threads that send commands all the time, to accounts of their own and to shared rows."""

    def __init__(self, number=2):
        self.errors = []
        self.deposits = 0
        self._stop = Signal()
        self._done = [0] * number
        self._threads = [
            Thread(daemon=True, target=copy_context().run, args=(self._write, one))
            for one in range(number)
        ]

    def _write(self, writer):
        dice = random.Random(writer)
        try:
            for turn in range(1_000_000):
                if self._stop.is_set():
                    return
                number = f"{writer}-{dice.randrange(20)}"
                if not Account.get(number).exists:
                    Account.open.transact(number, f"Ann {number}").unwrap()
                if turn % 7 == 0:
                    with transaction.atomic():
                        Account.deposit.transact(number, 1).unwrap()
                        Account.deposit.transact(number, 1).unwrap()
                        transaction.set_rollback(turn % 2 == 0)
                    self._done[writer] += 2 * (turn % 2)
                else:
                    Account.deposit.transact(number, 1).unwrap()
                    self._done[writer] += 1
                self._stop.wait(0.001)
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            connections.close_all()

    def wait_for_more(self, deposits):
        """Wait until each of them has made so many more."""
        upto = [done + deposits for done in self._done]

        def all_have():
            return self.errors or all(map(ge, self._done, upto))

        wait_until(all_have)

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for one in self._threads:
            one.join(HOPE_SECONDS)
        self.deposits = sum(self._done)


def rows():
    return (
        list(Balance.objects.order_by("pk").values_list()),
        list(Branch.objects.order_by("owner").values_list("owner", "accounts")),
    )


@pytest.mark.parametrize("in_place", [False, True])
def test_rebuilds_and_commands_lose_and_double_nothing(in_place):
    with projections(balances, counters) as found:
        with Writers() as writers:
            for _ in range(6):
                for one in found:
                    writers.wait_for_more(3)
                    rebuild(one(), in_place=in_place)
        assert not writers.errors
        live = rows()
        assert writers.deposits > 30
        assert sum(row[3] for row in live[0]) == writers.deposits
        assert dict(live[1])["all"] == writers.deposits
        for one in found:
            rebuild(one(), in_place=True)
        assert rows() == live


def test_it_is_built_while_commands_go_on():
    with isolated_projections():
        for number in range(40):
            Account.open.transact(f"0-{number}", f"Ann {number}").unwrap()
    with projections(balances, counters) as found:
        with Writers() as writers:
            writers.wait_for_more(10)
            assert {one.description for one in projection_statuses()} == {"not built"}
            catch_up()
            assert {one.description for one in projection_statuses()} == {"inline"}
            writers.wait_for_more(10)
        assert not writers.errors
        live = rows()
        assert sum(row[3] for row in live[0]) == writers.deposits
        for one in found:
            rebuild(one(), in_place=True)
        assert rows() == live


def test_a_verification_finds_nothing_while_commands_go_on():
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("nothing can be built beside in memory")
    with projections(balances, counters) as found:
        with Writers() as writers:
            for _ in range(4):
                for one in found:
                    writers.wait_for_more(3)
                    verified = verify(one())
                    assert verified.is_equal, verified
                    assert verified.position > 0
        assert not writers.errors
        Balance.objects.filter(pk="0-1").update(balance=999)
        Branch.objects.filter(owner="all").update(accounts=999)
        assert [verify(one()).is_equal for one in found] == [False, False]


def test_a_new_version_takes_over_while_both_are_at_work(caplog):
    with projections(balances):
        Account.open.transact("1", "Ann").unwrap()
        Account.deposit.transact("1", 5).unwrap()
    with projections(balances, version=2):
        # Nothing has been built yet: the rows of the older version are kept up as well as can be.
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 10
        (status,) = projection_statuses()
        assert (status.description, status.version, status.lag) == ("not built", 1, 0)
        catch_up()
        (status,) = projection_statuses()
        assert (status.description, status.version, status.lag) == ("inline", 2, 0)
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 15
    with projections(balances), pytest.raises(OlderCode, match=r"version 2, and this .* version 1"):
        Account.deposit.transact("1", 5)
    assert Account.get("1").balance == 15


def test_constraints_hold_for_older_rows_and_handlers_may_fail_on_them(caplog):
    with projections(owners):
        Account.open.transact("1", "Ann").unwrap()
    with projections(owners, version=2):
        assert Account.open.transact("2", "Ann").reason == "bank-holder-alias"
        assert isinstance(Account.open.transact("2", "Bob"), Ok)

    def fails(event):
        AuditLine.objects.create(text="no position")

    with projections(lambda **_: lines(lambda event: None)):
        Account.open.transact("3", "Cid").unwrap()
        catch_up()
    with projections(lambda **_: lines(fails, version=2)):
        Account.open.transact("4", "Eve").unwrap()
        assert "rows of an older version were left as they are" in caplog.text
        assert Account.get("4").exists


def test_one_that_workers_kept_becomes_inline_and_back():
    with projections(balances, inline=False) as (sums,):
        Account.open.transact("1", "Ann").unwrap()
        catch_up()
        Account.deposit.transact("1", 5).unwrap()
    with projections(balances) as (sums,):
        Account.deposit.transact("1", 5).unwrap()
        assert projection_statuses()[0].description == "not built"
        checkpoints_of(sums(), DjangoEventStore())
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 0
        catch_up()
        assert Balance.objects.get().balance == 15
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 20
    with projections(balances, inline=False) as (sums,):
        (checkpoint,) = checkpoints_of(sums(), DjangoEventStore())
        assert (checkpoint.position, checkpoint.version, checkpoint.partitions) == (5, 1, 1)
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 20
        catch_up()
        row = Balance.objects.get()
        assert (row.balance, row.movements) == (25, 5)


def test_one_that_was_inline_is_taken_over_by_a_rebuild():
    with projections(balances):
        Account.open.transact("1", "Ann").unwrap()
        Account.deposit.transact("1", 5).unwrap()
    with projections(balances, inline=False, version=2) as (sums,):
        rebuild(sums())
        checkpoint = Checkpoint.objects.get()
        assert (checkpoint.position, checkpoint.version, checkpoint.partitions) == (2, 2, 1)
    with projections(balances):
        with pytest.raises(NotCaughtUp, match="not built yet"):
            wait_for("projections.Sums", Account.deposit.transact("1", 5), timeout=0.01)
        assert Balance.objects.get().balance == 5


def test_waiting_for_it_returns_at_once():
    with projections(balances) as (sums,):
        wait_for(sums, Account.open.transact("1", "Ann"), timeout=0)
        with transaction.atomic():
            wait_for(sums, Account.deposit.transact("1", 5), timeout=0)


def test_status():
    with projections(balances):
        (status,) = projection_statuses()
        assert (status.description, status.lag) == ("inline", 0)
        Account.open.transact("1", "Ann").unwrap()
        (status,) = projection_statuses()
        assert (status.description, status.position, status.head) == ("inline", 1, 1)
        assert status.is_inline
        assert status.is_built
        assert status.parts == ()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite gives positions at once")
def test_no_rebuild_with_events_that_have_no_position():
    with projections(balances) as (sums,), transaction.atomic():
        Account.open.transact("1", "Ann").unwrap()
        with pytest.raises(InsideTransaction, match="have no position yet"):
            rebuild(sums())
    with projections(balances) as (sums,):
        rebuild(sums())
        assert Balance.objects.get().owner == "Ann"


only_where_writers_meet = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has one writer at a time"
)


@only_where_writers_meet
def test_a_rebuild_in_place_begins_anew_after_a_deadlock():
    with projections(balances) as (sums,):
        Account.open.transact("dead-1", "Ann").unwrap()
        holds = Signal()

        def command():
            with transaction.atomic():
                # MySQL ends the transaction that has written less; PostgreSQL that which came first.
                AuditLine.objects.bulk_create(AuditLine(text="-", position=1) for _ in range(100))
                Balance.objects.select_for_update().get(pk="dead-1")
                holds.set()
                wait_until_locked_out()
                # The rebuild waits for that row by now, and this for the rebuild.
                return Account.deposit.transact("dead-1", 5)

        def build():
            assert holds.wait(HOPE_SECONDS)
            return rebuild(sums(), in_place=True)

        result, position = at_once(command, build)
        assert isinstance(result, Ok)
        assert position == 2
        assert Balance.objects.get().balance == 5


@only_where_writers_meet
def test_a_rebuild_in_place_whose_checkpoint_is_gone_meanwhile():
    with projections(balances) as (sums,):
        Account.open.transact("gone-1", "Ann").unwrap()
        is_alone = Signal()

        def remove():
            with transaction.atomic():
                have_alone(connection, sums.name)
                is_alone.set()
                wait_until_locked_out()
                Checkpoint.objects.all().delete()

        def build():
            assert is_alone.wait(HOPE_SECONDS)
            return rebuild(sums(), in_place=True)

        assert at_once(remove, build) == [None, 1]
        assert Checkpoint.objects.get(name=sums.name).version == 1
