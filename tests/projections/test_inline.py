"""Inline projections: rows that are there as soon as the command has answered."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from rill_django import (
    Conflict,
    ConflictError,
    Ok,
    Projection,
    RowProjection,
    commit,
    commit_all,
    metadata,
    on,
    upcast,
)
from rill_django.domain.errors import DefinitionError
from rill_django.domain.runtime import current
from rill_django.models import Checkpoint
from rill_django.projections.projection import PARK, HandlerFailed
from rill_django.projections.rebuild import rebuild
from rill_django.testing import isolated_projections, isolated_registry, memory_runtime
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch
from tests.projections.inline_bank import (
    balances,
    counters,
    lines,
    projections,
)

pytestmark = pytest.mark.django_db


def test_rows_are_there_when_the_command_has_answered():
    with projections(balances, counters):
        Account.open.transact("1", "Ann").unwrap()
        Account.deposit.transact("1", 5).unwrap()
        row = Balance.objects.get(pk="1")
        assert (row.owner, row.balance, row.movements) == ("Ann", 5, 1)
        assert Branch.objects.get(owner="Ann").accounts == 1
        Account.withdraw.transact("1", 5).unwrap()
        Account.close.transact("1").unwrap()
        assert not Balance.objects.exists()


def test_rows_go_with_the_callers_transaction():
    with projections(balances):
        with transaction.atomic():
            Account.open.transact("1", "Ann").unwrap()
            assert Balance.objects.get().owner == "Ann"
            transaction.set_rollback(True)
        current().repository.clear()
        assert not Balance.objects.exists()
        assert not Account.get("1").exists


def test_a_lost_race_applies_nothing():
    with projections(balances):
        seen = Account.get("1")
        Account.open.transact("1", "Ann").unwrap()
        assert isinstance(commit(seen.open("Bob")), Conflict)
        assert Balance.objects.get().owner == "Ann"


def test_handlers_get_typed_events_with_all_but_a_position():
    seen = []
    with projections(lambda: lines(seen.append)), metadata(actor="ann"):
        Account.open.transact("1", "Ann").unwrap()
        (told,) = Account.deposit.transact("1", 5).events
        opened, deposited = seen
    assert opened.owner == "Ann"
    assert (deposited.identity, deposited.amount) == ("bank.Account/1@1", 5)
    assert deposited.metadata == {"actor": "ann", "command": "bank.Account.deposit"}
    assert deposited.recorded_at == told.recorded_at
    assert deposited.position is None


def test_events_are_upcast_first():
    seen = []
    with isolated_registry() as registry, isolated_projections():
        registry.add(Account, "bank.Account")

        @upcast()
        def everybody_is_bob(event):
            return event.with_data(owner="Bob") if "owner" in event.data else event

        lines(seen.append)
        Account.open.transact("1", "Ann").unwrap()
    assert [event.owner for event in seen] == ["Bob"]


def rewritten(number):
    """Have every deposit read as so many deposits."""

    @upcast("bank.Account.deposited")
    def times(event):
        return [event] * number


@pytest.mark.parametrize("times", [0, 1, 3])
def test_events_of_the_first_append_are_counted_as_they_are_stored(times):
    with isolated_registry() as registry, projections(balances) as (sums,):
        registry.add(Account, "bank.Account")
        rewritten(times)
        commit(Account("1").opened("Ann").deposited(2)).unwrap()
        assert Checkpoint.objects.get(name=sums.name).version == 1
        assert Balance.objects.get().balance == 2 * times


def test_older_events_are_seen_behind_one_that_becomes_two():
    with isolated_projections():
        Account.open.transact("1", "Ann").unwrap()
    with isolated_registry() as registry, projections(balances) as (sums,):
        registry.add(Account, "bank.Account")
        rewritten(2)
        Account.deposit.transact("1", 5).unwrap()
        assert Checkpoint.objects.get(name=sums.name).version == 0
        assert not Balance.objects.exists()


def test_other_commits_cost_nothing():
    def statements():
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            Account.open.transact("1", "Ann").unwrap()
            Account.deposit.transact("1", 5).unwrap()
            transaction.set_rollback(True)
        current().repository.clear()
        return [query["sql"].split()[0] for query in captured]

    with isolated_projections():
        without = statements()
    with isolated_projections():

        class Closed(RowProjection):
            model = Balance
            key = "number"
            inline = True

            @on(Account.closed)
            def closed(self, row, event):
                row.owner = "closed"

        assert statements() == without


def test_a_handler_that_fails_fails_the_command():
    def fails(event):
        raise ValueError("cannot")

    with projections(lambda: lines(fails), balances):
        with pytest.raises(HandlerFailed, match="cannot") as failed:
            Account.open.transact("1", "Ann")
        assert isinstance(failed.value.__cause__, ValueError)
        assert failed.value.event.identity == "bank.Account/1@0"
    assert not Account.get("1").exists
    assert not Balance.objects.exists()


def test_a_row_that_cannot_be_written_is_the_handlers_fault():
    with projections(lambda: lines(lambda event: AuditLine.objects.create(text="no position"))):
        with pytest.raises(HandlerFailed, match="position"):
            Account.open.transact("1", "Ann")
        assert not Account.get("1").exists

    def less_than_nothing(event):
        # A rule that no model declares.
        Balance.objects.create(number=event.number, movements=-1)

    with projections(lambda: lines(less_than_nothing)):
        with pytest.raises(HandlerFailed, match="Error"):
            Account.open.transact("1", "Ann")
        assert not Account.get("1").exists


def test_many_at_once():
    with projections(balances, counters):
        results = commit_all(Account(str(n)).opened("Ann").deposited(2) for n in range(50))
        assert all(isinstance(one, Ok) for one in results)
        assert Balance.objects.filter(balance=2, owner="Ann").count() == 50
        assert Branch.objects.get(owner="Ann").accounts == 50
        with pytest.raises(ConflictError):
            commit_all([Account("100").opened("Bob"), Account("1").opened("Bob")])
        assert Balance.objects.count() == 50


def test_the_log_in_memory_has_no_rows():
    with projections(balances), memory_runtime():
        Account.open.transact("1", "Ann").unwrap()
        assert not Balance.objects.exists()


def test_what_makes_no_sense_is_refused():
    with isolated_projections():
        for name, value, text in (
            ("partitions", 2, "no partitions"),
            ("on_error", PARK, "nothing to park"),
        ):
            with pytest.raises(DefinitionError, match=text):
                type(
                    "Wrong",
                    (Projection,),
                    {
                        "models": (Balance,),
                        "inline": True,
                        name: value,
                        "opened": on(Account.opened)(lambda self, event: None),
                    },
                )
        with pytest.raises(DefinitionError, match="inline = True"):

            class Late(RowProjection):
                model = Balance
                key = "number"
                rejections = {"number": "taken"}

                @on(Account.opened)
                def opened(self, row, event): ...


class BalanceElsewhere:
    def db_for_write(self, model, **hints):
        return "elsewhere" if model is Balance else "default"


def test_it_does_not_work_on_two_databases(settings):
    settings.DATABASE_ROUTERS = ["tests.projections.test_inline.BalanceElsewhere"]
    with projections(balances), pytest.raises(ImproperlyConfigured, match="not one transaction"):
        Account.open.transact("1", "Ann")


def test_the_first_command_makes_the_checkpoint():
    with projections(balances) as (sums,):
        Account.open.transact("1", "Ann").unwrap()
        checkpoint = Checkpoint.objects.get(name=sums.name)
        assert (checkpoint.is_inline, checkpoint.version) == (True, 1)
        Account.deposit.transact("1", 5).unwrap()
        assert Checkpoint.objects.count() == 1


def test_events_of_other_types_do_not_make_it_incomplete():
    with isolated_projections():
        Account.open.transact("1", "Ann").unwrap()

        class Closed(RowProjection):
            model = Balance
            key = "number"
            inline = True

            @on(Account.closed)
            def closed(self, row, event):
                row.owner = "closed"

        Account.close.transact("1").unwrap()
        assert Balance.objects.get().owner == "closed"


def test_rows_that_are_not_built_are_left_alone(caplog):
    with isolated_projections():
        Account.open.transact("1", "Ann").unwrap()
    with projections(balances) as (sums,):
        Account.deposit.transact("1", 5).unwrap()
        Account.deposit.transact("1", 5).unwrap()
        assert not Balance.objects.exists()
        assert Checkpoint.objects.get(name=sums.name).version == 0
        assert caplog.text.count("has no rows of the events that are in the log already") == 1
        rebuild(sums(), in_place=True)
        assert Balance.objects.get().balance == 10
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get().balance == 15
