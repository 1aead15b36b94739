"""Commands at the same moment on the same rows of inline projections."""

from importlib import import_module
from threading import Event as Signal

import pytest
from django.db import connection, transaction

from rill_django import (
    Conflict,
    Ok,
    Projection,
    Rejected,
    RowProjection,
    commit_all,
    on,
    transact,
)
from rill_django.models import Checkpoint, Event
from rill_django.projections.rebuild import rebuild
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch, Customer, Holder
from tests.patience import HOPE_SECONDS, wait_until_locked_out
from tests.projections.inline_bank import (
    at_once,
    balances,
    counters,
    customers,
    owners,
    projections,
)

pytestmark = pytest.mark.django_db(transaction=True)

only_where_writers_meet = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has one writer at a time"
)


def by_kind(results, kind):
    return [one for one in results if isinstance(one, kind)]


@pytest.mark.parametrize("maker", [owners, customers])
@pytest.mark.parametrize("attempt", range(5))
def test_one_of_two_gets_the_name(maker, attempt):
    with projections(maker):
        results = at_once(
            *(lambda number=number: Account.open.transact(number, "Ann") for number in "1234")
        )
        assert len(by_kind(results, Ok)) == 1
        rejected = by_kind(results, Rejected)
        assert len(rejected) == 3
        reason = "bank-holder-alias" if maker is owners else "name-taken"
        assert {one.reason for one in rejected} == {reason}
        assert Event.objects.count() == 1
        assert (Holder if maker is owners else Customer).objects.count() == 1


@pytest.mark.parametrize("attempt", range(5))
def test_a_row_that_all_make_at_once_counts_all(attempt):
    with projections(counters) as (made,):
        Account.open.transact("0", "Zoe").unwrap()  # The checkpoint is there, the row is not.
        results = at_once(
            *(lambda number=number: Account.open.transact(number, "Ann") for number in "1234")
        )
        assert len(by_kind(results, Ok)) == 4
        assert Branch.objects.get(owner="Ann").accounts == 4
        assert Checkpoint.objects.get(name=made.name).version == 1


def many_rows():
    """Make a projection in which every account counts in several rows: nothing to reject."""

    class Counts(RowProjection):
        model = Branch
        keys = lambda event: [{"branch": one, "owner": "x"} for one in event.owner.split()]  # noqa: E731
        inline = True

        @on(Account.opened)
        def opened(self, row, event):
            row.accounts += 1


def many_names():
    """Make one that does so by a free handler, which looks first."""

    class Names(Projection):
        models = (Customer,)
        inline = True

        @on(Account.opened)
        def opened(self, event):
            for name in event.owner.split():
                row = Customer.objects.filter(name=name).first() or Customer(name=name)
                row.accounts += 1
                row.save()


@only_where_writers_meet
@pytest.mark.parametrize("maker", [many_rows, many_names])
@pytest.mark.parametrize(
    "command",
    [
        lambda: Account.open.transact("several-c", "a b"),
        lambda: transact(Account.open.message("several-c", "a b"), idempotency_key="k"),
        lambda: commit_all([Account("several-c").opened("a"), Account("several-d").opened("b")])[0],
    ],
)
def test_a_race_for_each_of_several_rows_is_no_reason_to_reject(maker, command):
    with projections(maker):
        Account.open.transact("several-0", "zero").unwrap()
        made = {"a": Signal(), "b": Signal()}
        a_is_committed = Signal()

        def make(name):
            with transaction.atomic():
                Account.open.transact(f"several-{name}", name).unwrap()
                made[name].set()
                if name == "b":
                    assert a_is_committed.wait(HOPE_SECONDS)
                wait_until_locked_out()
            a_is_committed.set()

        def both():
            for one in made.values():
                assert one.wait(HOPE_SECONDS)
            return command()

        *_, result = at_once(lambda: make("a"), lambda: make("b"), both)
        assert isinstance(result, Ok)
        rows = Branch.objects if maker is many_rows else Customer.objects
        name = "branch" if maker is many_rows else "name"
        assert dict(rows.values_list(name, "accounts")) == {"zero": 1, "a": 2, "b": 2}


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others tell a from A")
def test_keys_that_only_the_database_takes_for_equal_reject():
    with projections(counters):
        Account.open.transact("1", "Ann").unwrap()
        assert Account.open.transact("2", "ANN").reason == "bank-branch-owner"


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others see it, or wait")
def test_a_row_that_the_callers_snapshot_does_not_show_is_a_conflict():
    def open_again():
        return transact(Account.open.message("2", "Ann"), idempotency_key="k")

    def too_late():
        have_old_snapshots()
        with transaction.atomic():
            assert not Branch.objects.filter(owner="Ann").exists()
            at_once(lambda: Account.open.transact("1", "Ann").unwrap())
            return open_again()

    with projections(counters):
        Account.open.transact("0", "Zoe").unwrap()
        (result,) = at_once(too_late)
        assert isinstance(result, Conflict)
        assert isinstance(open_again(), Ok)  # It is not remembered.


def test_the_very_first_commands_make_one_checkpoint():
    with projections(counters) as (made,):
        results = at_once(
            *(lambda number=number: Account.open.transact(number, "Ann") for number in "1234")
        )
        assert len(by_kind(results, Ok)) == 4
        assert Branch.objects.get().accounts == 4
        checkpoint = Checkpoint.objects.get(name=made.name)
        assert (checkpoint.version, checkpoint.is_inline) == (1, True)


def test_no_update_is_lost():
    with projections(counters, balances):
        commit_all(Account(number).opened("Ann") for number in "1234")

        def deposit(number):
            return [Account.deposit.transact(number, 1) for _ in range(20)]

        results = at_once(*(lambda number=number: deposit(number) for number in "1234"))
        assert all(isinstance(one, Ok) for some in results for one in some)
        assert Branch.objects.get(owner="all").accounts == 80
        assert [row.balance for row in Balance.objects.all()] == [20] * 4


@pytest.mark.parametrize("has_keys", [False, True])
def test_commands_that_change_the_same_rows_in_another_order_get_through(has_keys):
    with isolated_projections():

        class Both(Projection):
            models = (Balance,)
            inline = True

            @on(Account.opened)
            def opened(self, event):
                Balance.objects.create(number=event.number)

            @on(Account.deposited)
            def deposited(self, event):
                for number in ("1", "2") if event.number == "1" else ("2", "1"):
                    row = Balance.objects.select_for_update().get(pk=number)
                    met.wait(0.02)
                    row.movements += 1
                    row.save()

        met = Signal()  # Never set: only a pause.
        commit_all(Account(number).opened("Ann") for number in "12")

        def deposit(number):
            message = Account.deposit.message(number, 1)
            keys = [f"{number}-{turn}" if has_keys else None for turn in range(3)]
            return [transact(message, idempotency_key=key) for key in keys]

        results = at_once(lambda: deposit("1"), lambda: deposit("2"))
        assert all(isinstance(one, Ok) for some in results for one in some)
        assert [row.movements for row in Balance.objects.all()] == [6, 6]


# Numbers of their own, where one command stays open while others go on: on MySQL, the tests' own deletion
# of events leaves something in the index for a while that makes the same ones wait for their neighbours.


@only_where_writers_meet
def test_commands_do_not_wait_for_each_other():
    with projections(balances):
        commit_all(Account(number).opened("Ann") for number in ("wait-1", "wait-2"))
        with transaction.atomic():
            Account.deposit.transact("wait-1", 1).unwrap()
            # Another one, in another thread, while ours is not committed.
            (result,) = at_once(lambda: Account.deposit.transact("wait-2", 1))
            assert isinstance(result, Ok)
        assert [row.balance for row in Balance.objects.order_by("pk")] == [1, 1]


@only_where_writers_meet
def test_a_race_inside_the_callers_transaction():
    with projections(counters):
        Account.open.transact("0", "Zoe").unwrap()
        is_open = Signal()

        def first():
            with transaction.atomic():
                result = Account.open.transact("1", "Ann")
                is_open.set()
                wait_until_locked_out()
            return result

        def second():
            assert is_open.wait(HOPE_SECONDS)
            with transaction.atomic():
                result = Account.open.transact("2", "Ann")
                assert Branch.objects.get(owner="Ann").accounts == 2
            return result

        assert len(by_kind(at_once(first, second), Ok)) == 2
        assert Branch.objects.get(owner="Ann").accounts == 2


def have_old_snapshots():
    """Have transactions of this thread see what was committed before their first query, and no more."""
    connection.close()
    level = "repeatable read"
    if connection.vendor == "postgresql":
        level = import_module("psycopg").IsolationLevel.REPEATABLE_READ
    options = {**connection.settings_dict["OPTIONS"], "isolation_level": level}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


@only_where_writers_meet
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("snapshots", [lambda: None, have_old_snapshots])
def test_a_rebuild_waits_for_commands_under_way(in_place, snapshots):
    with projections(balances) as (sums,):
        Account.open.transact("1", "Ann").unwrap()
        is_open = Signal()

        def command():
            with transaction.atomic():
                Account.deposit.transact("1", 5).unwrap()
                is_open.set()
                wait_until_locked_out()

        def build():
            snapshots()
            assert is_open.wait(HOPE_SECONDS)
            return rebuild(sums(), in_place=in_place)

        _, position = at_once(command, build)
        assert position == 2
        assert Balance.objects.get().balance == 5
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 10


@only_where_writers_meet
def test_a_rebuild_gives_way_to_a_transaction_that_stays_open():
    with projections(balances) as (sums,):
        Account.open.transact("way-1", "Ann").unwrap()
        is_open = Signal()

        def command():
            with transaction.atomic():
                Account.deposit.transact("way-1", 5).unwrap()
                is_open.set()
                # Others get through meanwhile, though the rebuild wants the rows for itself.
                for number in "23456":
                    (result,) = at_once(lambda n=number: Account.open.transact(f"way-{n}", "Ann"))
                    assert isinstance(result, Ok)
                    wait_until_locked_out()

        def build():
            assert is_open.wait(HOPE_SECONDS)
            return rebuild(sums())

        _, position = at_once(command, build)
        assert position == 7
        assert Balance.objects.count() == 6
