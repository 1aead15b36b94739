"""Rebuilding beside the live rows: what readers see, what writers add, what a failure leaves."""

from threading import Event as Signal
from threading import Thread

import pytest
from django.db import OperationalError, connection, connections, transaction

from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import NewVersion, RebuildInterrupted, rebuild
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Customer, Holding
from tests.patience import HOPE_SECONDS, wait_until
from tests.projections.rebuilds import (
    Readers,
    append_history,
    contents,
    customers_projection,
    live_position,
    named,
)

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("bank.Audit", "bank.Balances", "bank.Branches")


def nothing_is_left(projection):
    assert not Checkpoint.objects.filter(is_beside=True).exists()
    if connection.vendor == "postgresql":
        place = place_for(projection, "beside")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (place.name,))
            assert cursor.fetchone() == (0,)


@pytest.fixture
def customers():
    with isolated_projections():
        yield customers_projection()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("batch_size", [7, 5_000])
def test_the_rows_are_those_of_one_event_at_a_time(in_place, batch_size):
    append_history(12, 5)
    Account.close.transact("3")
    ProjectionWorker(OURS, batch_size=1).run_until_caught_up()
    before = contents()
    assert len(before["balances"]) == 12
    Balance.objects.update(balance=999)
    Balance.objects.create(number="stray", owner="nobody")
    Branch.objects.all().delete()
    for name in OURS:
        told = []
        position = rebuild(
            named(name),
            in_place=in_place,
            batch_size=batch_size,
            progress=lambda *step, told=told: told.append(step),
        )
        assert told[-1] == (name, position, position)
        nothing_is_left(named(name))
    assert contents() == before
    append_history(1, 2, first=100)
    catch_up(*OURS)
    assert Balance.objects.get(pk="100").balance == 2
    assert AuditLine.objects.count() == 12 * 6 + 3


@pytest.mark.parametrize("in_place", [False, True])
def test_foreign_keys_between_the_models_hold_and_ids_go_on(customers, in_place):
    append_history(20, 2)
    catch_up()
    before = contents()
    highest = Holding.objects.latest("pk").pk
    Holding.objects.filter(number="4").delete()
    rebuild(customers, in_place=in_place, batch_size=9)
    assert contents() == before
    append_history(1, 1, first=100)
    catch_up()
    assert Holding.objects.get(number="100").pk > highest
    # What is deleted in code goes on taking along what refers to it, and nothing dangles.
    connection.check_constraints()
    Customer.objects.get(name="owner 1").delete()
    assert not Holding.objects.filter(customer__name="owner 1").exists()


def test_readers_see_whole_states_only_while_writers_write_and_a_worker_works():
    append_history(150, 19)
    catch_up("bank.Balances")
    readers = Readers()
    stop = Signal()
    errors, written = [], []

    def work():
        worker = ProjectionWorker(["bank.Balances"], batch_size=50)
        while not stop.is_set():
            worker.run_once()
            stop.wait(0.005)

    def write():
        for number in range(1_000_000):
            if stop.is_set():
                return
            Account.deposit.transact(str(number % 150), 1).unwrap()
            written.append(number)
            stop.wait(0.005)

    def thread(target):
        def run():
            try:
                target()
            except Exception as error:
                errors.append(repr(error))
            finally:
                connections.close_all()

        return Thread(daemon=True, target=run)

    threads = [thread(work), thread(write)]
    with readers.reading():
        for one in threads:
            one.start()
        for turn in range(1, 4):
            rebuild(named("bank.Balances"), batch_size=500)
            enough = lambda turn=turn: readers.seen.total() > 10 * turn and len(written) > turn  # noqa: E731
            wait_until(lambda enough=enough: errors or readers.errors or enough())
        stop.set()
        for one in threads:
            one.join(HOPE_SECONDS)
    assert not errors
    assert not readers.errors
    catch_up("bank.Balances")
    after = contents()
    rebuild(named("bank.Balances"), in_place=True)
    assert contents() == after
    assert sum(row[3] for row in after["balances"]) == 150 * 19 + len(written)


def test_a_handler_that_fails_leaves_the_live_rows_and_nothing_else(customers):
    append_history(10, 2)
    catch_up()
    before = contents()

    def fails(self, event):
        if event.number == "7":
            raise ValueError("cannot")

    type(customers).handlers = {**customers.handlers, "bank.Account.deposited": fails}
    with pytest.raises(HandlerFailed, match=r"bank\.Account/7@1.*cannot"):
        rebuild(customers, batch_size=5)
    assert contents() == before
    nothing_is_left(customers)


def test_it_stops_when_asked():
    append_history(10, 9)
    catch_up("bank.Balances")
    before = contents()
    stop = Signal()
    with pytest.raises(RebuildInterrupted) as stopped:
        rebuild(named("bank.Balances"), batch_size=30, stop=stop, progress=lambda *step: stop.set())
    assert stopped.value.position == 30
    assert stopped.value.is_kept == (connection.vendor == "postgresql")
    assert contents() == before
    rebuild(named("bank.Balances"))
    assert contents() == before
    nothing_is_left(named("bank.Balances"))


def test_inside_a_transaction_it_is_done_in_place():
    append_history(3, 1)
    catch_up("bank.Balances")
    Balance.objects.all().delete()
    with transaction.atomic():
        rebuild(named("bank.Balances"))
        assert Balance.objects.count() == 3
        transaction.set_rollback(True)
    assert not Balance.objects.exists()


def test_skipped_events_stay_skipped_and_parked_ones_are_applied():
    append_history(3, 2)
    catch_up("bank.Balances")
    SkippedEvent.objects.create(
        projection="bank.Balances", position=2, event="bank.Account/0@1", reason="wrong"
    )
    ParkedEvent.objects.create(
        projection="bank.Balances", position=5, event="bank.Account/1@1", keys=["1"]
    )
    rebuild(named("bank.Balances"))
    assert dict(Balance.objects.values_list("pk", "movements")) == {"0": 1, "1": 2, "2": 2}
    assert not ParkedEvent.objects.exists()


def test_a_split_projection_has_all_its_checkpoints_moved(customers):
    append_history(10, 1)
    type(customers).partitions = 3
    rebuild(customers)
    found = Checkpoint.objects.filter(name=customers.name).order_by("partition")
    assert list(found.values_list("partition", "partitions", "position", "is_beside")) == [
        (number, 3, 20, False) for number in range(3)
    ]


def test_a_stopped_projection_runs_again(customers):
    append_history(2, 1)
    catch_up()
    Checkpoint.objects.get(name=customers.name).stop("bank.Account/0@1", "ValueError")
    rebuild(customers)
    checkpoint = Checkpoint.objects.get(name=customers.name)
    assert (checkpoint.state, checkpoint.error, checkpoint.position) == ("running", "", 4)


def test_a_new_version_is_built_in_steps_while_the_live_rows_go_on(customers, monkeypatch):
    append_history(30, 3)
    catch_up()
    type(customers).version = 2

    def doubled(self, event):
        holding = Holding.objects.get(number=event.number)
        holding.balance += 2 * event.amount
        holding.save()

    old = type(customers).handlers
    new = {**old, "bank.Account.deposited": doubled}
    building = NewVersion(customers, batch_size=20)
    monkeypatch.setattr("rill_django.projections.rebuilding.steps.FEW_EVENTS", 5)
    steps = 0
    while True:
        type(customers).handlers = new
        if not building.step():
            break
        steps += 1
        if steps == 3:
            # Between two steps everything is as ever, and the live rows are the old version's.
            type(customers).handlers = old
            type(customers).version = 1
            append_history(1, 2, first=100)
            catch_up()
            type(customers).version = 2
            assert Holding.objects.get(number="100").balance == 2
            assert Holding.objects.get(number="1").balance == 3
        assert steps < 1000
    assert Holding.objects.get(number="100").balance == 4
    assert set(Holding.objects.exclude(number="100").values_list("balance", flat=True)) == {6}
    checkpoint = Checkpoint.objects.get(name=customers.name)
    assert (checkpoint.version, checkpoint.position) == (2, 123)
    nothing_is_left(customers)


def finish(building):
    while building.step():
        pass


def test_a_new_version_that_fails_can_be_tried_again(customers):
    append_history(2, 1)
    catch_up()
    before = contents()
    good = type(customers).handlers

    def fails(self, event):
        raise ValueError("cannot")

    building = NewVersion(customers)
    type(customers).handlers = {**good, "bank.Account.deposited": fails}
    with pytest.raises(HandlerFailed):
        finish(building)
    assert contents() == before
    nothing_is_left(customers)
    type(customers).handlers = good
    finish(building)
    assert contents() == before
    assert live_position(customers) == 4


def test_the_last_step_waits_for_locks_and_is_tried_again(customers, monkeypatch):
    append_history(3, 1)
    catch_up()
    place = place_for(customers, "beside")
    finish = place.finish
    tries = []

    def busy_at_first(apply_rest):
        tries.append(1)
        finish(apply_rest)
        if len(tries) < 3:
            raise OperationalError(1205, "database is locked") from _LockNotAvailable()

    monkeypatch.setattr(place, "finish", busy_at_first)
    before = contents()
    with Rebuild(place) as steps:
        assert steps.run() == 6
    assert len(tries) == 3
    assert contents() == before


class _LockNotAvailable(Exception):
    sqlstate = "55P03"
