"""`wait_for`: reading one's own writes."""

from threading import Thread

import pytest
from django.db import connections, transaction

from rill_django import Ok, RowProjection, on, wait_for
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections import waiting
from rill_django.projections.projection import PARK
from rill_django.projections.registry import UnknownProjection
from rill_django.projections.waiting import NotCaughtUp, NotCommitted
from rill_django.projections.worker import ProjectionStopped, catch_up
from rill_django.testing import isolated_projections, memory_runtime
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.bank.projections import Balances
from tests.patience import HOPE_SECONDS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("projection", [Balances, Balances(), "bank.Balances"])
def test_it_returns_when_the_events_are_applied(projection):
    result = Account.open.transact("1", "Ann")
    catch_up()
    wait_for(projection, result, timeout=0)
    Account.deposit.transact("1", 5)
    wait_for(projection, result, timeout=0)


def test_a_result_without_events_is_not_waited_for():
    wait_for(Balances, Ok(Account("1")), timeout=0)


def test_in_time_or_not_at_all():
    result = Account.open.transact("1", "Ann")
    with pytest.raises(NotCaughtUp, match=r"not applied bank\.Account/1@0.*no worker has ever run"):
        wait_for(Balances, result, timeout=0.02)
    catch_up()
    later = Account.deposit.transact("1", 5)
    with pytest.raises(TimeoutError, match=r"bank\.Account/1@1.* within 0\.01 s: it is at 1"):
        wait_for(Balances, later, timeout=0.01)


def test_a_projection_that_has_stopped_is_not_waited_for():
    first = Account.open.transact("1", "Ann")
    catch_up()
    Checkpoint.objects.get(name="bank.Balances").stop("bank.Account/9@9", "ValueError")
    wait_for(Balances, first, timeout=0)
    second = Account.deposit.transact("1", 5)
    with pytest.raises(ProjectionStopped, match=r"stopped at bank\.Account/9@9.*bank\.Account/1@1"):
        wait_for(Balances, second, timeout=60)


def test_all_partitions_are_waited_for():
    result = Account.open.transact("1", "Ann")
    catch_up()
    Checkpoint.objects.filter(name="bank.Balances").update(partitions=2)
    with pytest.raises(NotCaughtUp):
        wait_for(Balances, result, timeout=0)
    other = Checkpoint.objects.create(name="bank.Balances", partition=1, partitions=2, position=0)
    with pytest.raises(NotCaughtUp, match="it is at 0"):
        wait_for(Balances, result, timeout=0)
    other.move_to(1, "")
    wait_for(Balances, result, timeout=0)


def test_rows_beside_do_not_count():
    result = Account.open.transact("1", "Ann")
    Checkpoint.objects.create(name="bank.Balances", position=100, is_beside=True)
    with pytest.raises(NotCaughtUp):
        wait_for(Balances, result, timeout=0)


def test_a_parked_event_is_told():
    with isolated_projections():

        class Parking(RowProjection):
            model = Balance
            key = "number"
            on_error = PARK

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

        result = Account.open.transact("1", "Ann")
        catch_up()
        wait_for(Parking, result, timeout=0)
        ParkedEvent.objects.create(
            projection=Parking.name, position=1, event="bank.Account/1@0", keys=["1"]
        )
        with pytest.raises(ProjectionStopped, match=r"has parked bank\.Account/1@0"):
            wait_for(Parking, result, timeout=60)


def test_an_open_transaction_is_no_place_to_wait():
    with transaction.atomic():
        result = Account.open.transact("1", "Ann")
        with pytest.raises(NotCommitted, match="inside a transaction could last forever"):
            wait_for(Balances, result, timeout=60)


def test_events_that_are_not_in_the_log_are_not_waited_for():
    with memory_runtime():
        result = Account.open.transact("1", "Ann")
    with pytest.raises(NotCommitted, match=r"bank\.Account/1@0 is not in the log"):
        wait_for(Balances, result, timeout=60)


def test_what_is_no_ok_is_refused():
    with pytest.raises(TypeError, match="insufficient-funds"):
        wait_for(Balances, Account.withdraw.transact("1", 5))
    with pytest.raises(UnknownProjection):
        wait_for("nope", Account.open.transact("1", "Ann"))


def test_pauses_grow_up_to_a_bound(monkeypatch):
    clock, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(waiting.time, "sleep", sleep)
    result = Account.open.transact("1", "Ann")
    with pytest.raises(NotCaughtUp):
        wait_for(Balances, result, timeout=3)
    assert pauses[0] == waiting.FIRST_PAUSE
    assert max(pauses) == waiting.LONGEST_PAUSE
    assert sum(pauses) == pytest.approx(3)
    assert len(pauses) < 25


@pytest.mark.django_db(transaction=True)
def test_it_sees_what_another_thread_applies():
    result = Account.open.transact("1", "Ann")

    def work():
        try:
            catch_up("bank.Balances")
        finally:
            connections.close_all()

    worker = Thread(daemon=True, target=work)
    worker.start()
    wait_for(Balances, result, timeout=HOPE_SECONDS)
    assert Balance.objects.get().owner == "Ann"
    worker.join()
