"""Verifying: what differs is found, nothing is changed, and workers are not disturbed."""

from decimal import Decimal
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connection, connections, transaction

from rill_django import RowProjection, on
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import CannotBuildBeside, RebuildInterrupted, rebuild, verify
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Customer, Holding
from tests.patience import HOPE_SECONDS, wait_until
from tests.projections.rebuilds import (
    append_history,
    contents,
    customers_projection,
    live_position,
    named,
)

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("bank.Audit", "bank.Balances", "bank.Branches")


@pytest.fixture
def customers():
    with isolated_projections():
        yield customers_projection()


def only_table(name):
    (table,) = verify(named(name)).tables
    return table


def nothing_is_left(projection):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = place_for(projection, "verify").name
            cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (name,))
            assert cursor.fetchone() == (0,)


def test_rows_that_are_right_are_equal(customers):
    append_history(12, 5)
    catch_up()
    before = contents()
    found = verify(customers, batch_size=10)
    assert found.is_equal
    assert found.position == 72
    assert {table.model: table.matched_by for table in found.tables} == {
        "bank.Customer": ("name",),
        "bank.Holding": ("customer.name", "number"),
    }
    assert {table.not_compared for table in found.tables} == {("id",)}
    assert contents() == before
    nothing_is_left(customers)


def test_made_up_keys_are_not_compared(customers):
    append_history(12, 1)
    rebuild(customers)
    # Other ids, the same rows.
    rebuild(customers, in_place=True)
    assert Customer.objects.order_by("pk").first().pk > 1 or connection.vendor != "postgresql"
    assert verify(customers).is_equal


def test_what_was_tampered_with_is_found_column_by_column():
    append_history(12, 5)
    catch_up("bank.Balances")
    Balance.objects.filter(pk="3").update(balance=999, owner="thief")
    Balance.objects.filter(pk="4").delete()
    Balance.objects.create(number="stray", owner="nobody")
    before = contents()
    table = only_table("bank.Balances")
    assert (table.missing, table.extra, table.different) == (1, 1, 1)
    assert table.matched_by == ("number",)
    missing, extra, different = table.first
    assert (missing.kind, missing.key) == ("missing", {"number": "4"})
    assert (extra.kind, extra.key) == ("extra", {"number": "stray"})
    assert (different.kind, different.key) == ("different", {"number": "3"})
    assert {
        name: (str(live), str(rebuilt)) if name == "owner" else (Decimal(live), Decimal(rebuilt))
        for name, (live, rebuilt) in different.columns.items()
    } == {"owner": ("thief", "owner 3"), "balance": (Decimal(999), Decimal(5))}
    assert contents() == before


def test_a_reference_to_another_row_is_followed(customers):
    append_history(14, 0)
    catch_up()
    wrong = Customer.objects.get(name="owner 1")
    Holding.objects.filter(number="7").update(customer=wrong)
    tables = {table.model: table for table in verify(customers).tables}
    assert tables["bank.Customer"].is_equal
    table = tables["bank.Holding"]
    assert (table.missing, table.extra, table.different) == (1, 1, 0)
    assert [row.key["customer.name"] for row in table.first] == ["owner 0", "owner 1"]


def test_rows_without_a_key_are_compared_as_wholes():
    append_history(4, 2)
    catch_up("bank.Audit")
    assert only_table("bank.Audit").is_equal
    line = AuditLine.objects.order_by("pk").first()
    AuditLine.objects.create(text=line.text, position=line.position)
    AuditLine.objects.filter(position=2).delete()
    table = only_table("bank.Audit")
    assert (table.missing, table.extra, table.different) == (1, 1, 0)
    assert table.matched_by == ()
    assert table.not_compared == ("id",)
    assert [(row.kind, row.key["position"], row.times) for row in table.first] == [
        ("missing", 2, 1),
        ("extra", 1, 1),
    ]


def test_the_key_of_a_row_projection_is_what_rows_are_matched_by():
    append_history(9, 0)
    catch_up("bank.Branches")
    Branch.objects.filter(owner="owner 0").update(accounts=70)
    table = only_table("bank.Branches")
    assert table.matched_by == ("branch", "owner")
    (row,) = table.first
    assert row.columns == {"accounts": (70, 2)}


def test_only_the_first_ones_are_reported_and_all_are_counted():
    append_history(30, 0)
    catch_up("bank.Balances")
    Balance.objects.update(owner="x")
    (table,) = verify(named("bank.Balances"), first=4).tables
    assert table.different == 30
    assert len(table.first) == 4


def test_live_rows_that_lag_are_compared_where_they_are():
    append_history(10, 2)
    ProjectionWorker(["bank.Balances"], batch_size=7).run_once()
    found = verify(named("bank.Balances"))
    assert (found.position, found.is_equal) == (7, True)


def test_a_projection_that_never_ran_is_empty():
    append_history(2, 1)
    found = verify(named("bank.Balances"))
    assert (found.position, found.is_equal) == (0, True)
    assert not Checkpoint.objects.filter(name="bank.Balances").exists()


def test_a_worker_goes_on_meanwhile():
    append_history(20, 9)
    catch_up("bank.Balances")
    balances = named("bank.Balances")
    stop = Signal()
    errors = []

    def work():
        try:
            worker = ProjectionWorker(["bank.Balances"])
            while not stop.is_set():
                append_history(1, 1, first=10_000 + worker.store.head())
                worker.run_once()
        except Exception as error:
            errors.append(repr(error))
        finally:
            connections.close_all()

    thread = Thread(daemon=True, target=work)
    thread.start()
    try:
        found = []
        for _ in range(5):
            reached = found[-1].position if found else 0
            wait_until(lambda reached=reached: errors or live_position(balances) > reached)
            found.append(verify(balances, batch_size=50))
    finally:
        stop.set()
        thread.join(HOPE_SECONDS)
    assert not errors
    assert [one.is_equal for one in found] == [True] * 5
    assert found[0].position >= 200
    assert found[-1].position > found[0].position


def test_partitions_are_compared_each_at_its_own_position():
    with isolated_projections():

        class Split(RowProjection):
            model = Balance
            key = "number"
            partitions = 3

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

            @on(Account.deposited)
            def deposited(self, row, event):
                row.balance += event.amount

        append_history(12, 5)
        catch_up()
        append_history(12, 5, first=12)
        worker = ProjectionWorker(batch_size=20)
        worker._lanes = worker._lanes[:2]
        worker.run_once()
        worker._lanes = worker._lanes[:1]
        worker.run_once()
        positions = set(Checkpoint.objects.values_list("position", flat=True))
        assert len(positions) == 3
        found = verify(Split(), batch_size=15)
        assert found.is_equal
        assert found.position == max(positions)
        Balance.objects.filter(pk="1").update(balance=0)
        assert not verify(Split()).is_equal


def test_parked_events_are_left_out():
    append_history(3, 2)
    catch_up("bank.Balances")
    Balance.objects.filter(pk="1").update(balance=1, movements=1)
    assert not verify(named("bank.Balances")).is_equal
    ParkedEvent.objects.create(
        projection="bank.Balances", position=6, event="bank.Account/1@2", keys=["1"]
    )
    assert verify(named("bank.Balances")).is_equal


def test_a_handler_that_fails_leaves_nothing(customers):
    append_history(3, 1)
    catch_up()

    def fails(self, event):
        raise ValueError("cannot")

    type(customers).handlers = {**customers.handlers, "bank.Account.deposited": fails}
    with pytest.raises(HandlerFailed):
        verify(customers)
    nothing_is_left(customers)


def test_it_stops_when_asked():
    append_history(3, 5)
    catch_up("bank.Balances")
    stop = Signal()
    with pytest.raises(RebuildInterrupted):
        verify(named("bank.Balances"), batch_size=4, stop=stop, progress=lambda *_: stop.set())
    nothing_is_left(named("bank.Balances"))


def test_it_needs_a_transaction_of_its_own():
    with transaction.atomic(), pytest.raises(CannotBuildBeside, match="A transaction is open"):
        verify(named("bank.Balances"))
