"""`RowProjection`: keys, new rows, deletions, results that do not depend on batches."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rill_django import DefinitionError, RowProjection, on
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Branch

pytestmark = pytest.mark.django_db


def test_the_key_may_be_a_function_that_gives_the_primary_key():
    with isolated_projections():

        class Upper(RowProjection):
            model = Balance
            key = lambda event: event.number.upper()  # noqa: E731

            @on(Account.opened)
            def opened(self, row, event):
                row.owner += event.owner

        Account.open.transact("a", "x").unwrap()
        Account.open.transact("A", "y").unwrap()
        catch_up()
        assert list(Balance.objects.values_list("number", "owner")) == [("A", "xy")]


def test_the_key_may_be_a_function_that_gives_field_values_or_none():
    with isolated_projections():

        class Some(RowProjection):
            model = Branch

            @staticmethod
            def key(event):
                return None if event.owner == "hidden" else {"branch": "b", "owner": event.owner}

            @on(Account.opened)
            def opened(self, row, event):
                row.accounts += 1

        for number, owner in enumerate(["x", "hidden", "x"]):
            Account.open.transact(str(number), owner).unwrap()
        catch_up()
        assert list(Branch.objects.values_list("branch", "owner", "accounts")) == [("b", "x", 2)]


def test_many_keys_of_several_fields_are_loaded_in_chunks(monkeypatch):
    monkeypatch.setattr("rill_django.projections.rows.tables.KEYS_PER_QUERY", 3)
    for number in range(10):
        Account.open.transact(str(number), f"owner {number % 5}").unwrap()
    ProjectionWorker(["bank.Branches"], batch_size=5).run_until_caught_up()
    assert set(Branch.objects.values_list("accounts", flat=True)) == {2}
    assert Branch.objects.count() == 5


def test_a_handler_gets_an_ordinary_instance_with_the_models_defaults():
    with isolated_projections():
        seen = []

        class Looking(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, row, event):
                seen.append((type(row), row.number, row.balance, row._state.adding))

            @on(Account.deposited)
            def deposited(self, row, event):
                seen.append((type(row), row.number, row.balance, row._state.adding))

        Account.open.transact("1", "x").unwrap()
        catch_up()
        Account.deposit.transact("1", 1).unwrap()
        catch_up()
        assert seen == [(Balance, "1", 0, True), (Balance, "1", 0, False)]


def test_it_needs_a_model_and_a_key():
    with isolated_projections():
        with pytest.raises(DefinitionError, match="has no model"):

            class NoModel(RowProjection):
                key = "number"

                @on(Account.opened)
                def opened(self, row, event): ...

        with pytest.raises(DefinitionError, match="which row an event changes"):

            class NoKey(RowProjection):
                model = Balance

                @on(Account.opened)
                def opened(self, row, event): ...


def test_two_handlers_for_one_event_are_refused():
    with isolated_projections(), pytest.raises(DefinitionError, match=r"both one and two handle"):

        class Twice(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def one(self, row, event): ...

            @on(Account.opened)
            def two(self, row, event): ...


@pytest.mark.parametrize("wrong", ["bank.Account.opened", Account, None])
def test_on_takes_event_types_only(wrong):
    with pytest.raises(DefinitionError, match="@on takes event types"):
        on(wrong)


steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "deposit", "withdraw", "close", "empty"]),
        st.sampled_from(["1", "2", "3"]),
        st.integers(1, 50),
    ),
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps, batch_size=st.integers(1, 8))
def test_rows_are_the_aggregates_whatever_the_batches(steps, batch_size):
    example = uuid4().hex[:12]  # Every example has accounts of its own; nothing is rolled back.
    for action, which, amount in steps:
        number = f"{example}-{which}"
        match action:
            case "open":
                Account.open.transact(number, f"owner {amount}")
            case "deposit":
                Account.deposit.transact(number, amount)
            case "withdraw":
                Account.withdraw.transact(number, amount)
            case "empty" if Account.get(number).balance:
                Account.withdraw.transact(number, Account.get(number).balance)
            case "close" if Account.get(number).exists:
                Account.close.transact(number)
    worker = ProjectionWorker(["bank.Balances"], batch_size=batch_size)
    worker.run_until_caught_up()
    assert not worker.stopped
    rows = {
        row.number: (row.owner, row.balance)
        for row in Balance.objects.filter(number__startswith=example)
    }
    accounts = [Account.get(f"{example}-{which}") for which in "123"]
    assert rows == {
        one.number: (one.owner, one.balance) for one in accounts if one.exists and not one.is_closed
    }
