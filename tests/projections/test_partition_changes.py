"""Other partitions for a projection that is in use: while something fails, and by two releases at once."""

from threading import Event as Signal
from time import monotonic
from types import SimpleNamespace
from zlib import crc32

import pytest
from django.db import connection, transaction

from rill_django import Projection, RowProjection, on
from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections import division
from rill_django.projections.division import Division
from rill_django.projections.live import live_checkpoints
from rill_django.projections.mending import retry, skip
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance, Customer
from tests.patience import HOPE_SECONDS, wait_until_locked_out
from tests.projections.inline_bank import at_once
from tests.projections.rebuilds import append_history

several_writers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time"
)

NUMBERS = [str(number) for number in range(12)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)


def balances(partitions, **attributes):
    class Balances(RowProjection):
        name = "test.Balances"
        model = Balance
        key = "number"
        broken = frozenset()

        @on(Account.opened)
        def opened(self, row, event):
            if event.number in self.broken:
                raise ValueError("cannot")
            row.owner = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            assert row.owner, "out of order"
            row.balance += event.amount
            row.movements += 1

    for name, value in {"partitions": partitions, **attributes}.items():
        setattr(Balances, name, value)
    return Balances


def customers():
    class Customers(Projection):
        models = (Customer,)

        @on(Account.opened)
        def opened(self, event):
            Customer.objects.create(name=f"{event.owner} {event.number}")

    return Customers


@pytest.fixture(autouse=True)
def isolated():
    with isolated_projections():
        yield


def movements():
    return set(Balance.objects.values_list("movements", flat=True))


def checkpoints():
    found = Checkpoint.objects.filter(name="test.Balances").order_by("partition")
    return list(found.values_list("partition", "partitions", "position", "state"))


def partition_with(number, partitions):
    return crc32(number.encode()) % partitions


def advance_all_but(partition):
    """Leave one partition where it is."""
    worker = ProjectionWorker(["test.Balances"])
    worker._lanes = [lane for lane in worker._lanes if lane.partition != partition]
    worker.run_until_caught_up()


def stand_still(number="3", **attributes):
    """Make two partitions, one of which stands still at an event, behind the other; return the class."""
    made = balances(2, broken={number}, **attributes)
    append_history(12, 0)
    with pytest.raises(ProjectionStopped, match="cannot"):
        catch_up("test.Balances")
    return made


@pytest.mark.django_db
def test_while_one_stands_still_the_projection_does_alone():
    made = stand_still()
    customers()
    made.partitions = 3
    append_history(5, 1, first=50)
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    assert Customer.objects.count() == 17
    name = f"test.Balances {partition_with('3', 2) + 1}/2"
    assert list(worker.stopped) == [name]
    assert "cannot" in worker.stopped[name]
    (stopped,) = Checkpoint.objects.filter(state="stopped")
    assert (stopped.partition, stopped.partitions) == (partition_with("3", 2), 2)
    assert stopped.failed_event == "bank.Account/3@0"
    assert "cannot" in stopped.error


@pytest.mark.django_db
def test_it_goes_on_when_that_is_mended():
    made = stand_still()
    made.partitions = 3
    append_history(5, 1, first=50)
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    made.broken = frozenset()
    retry(made())
    worker.run_until_caught_up()
    assert not worker.stopped
    assert [one[1] for one in checkpoints()] == [3, 3, 3]
    assert Balance.objects.count() == 17


@pytest.mark.django_db
def test_it_goes_on_when_that_is_skipped():
    made = stand_still()
    made.partitions = 3
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    skip(made(), "bank.Account/3@0", "not ours")
    worker.run_until_caught_up()
    assert not worker.stopped
    assert [one[1] for one in checkpoints()] == [3, 3, 3]
    assert SkippedEvent.objects.get().event == "bank.Account/3@0"
    assert sorted(Balance.objects.values_list("number", flat=True)) == sorted(set(NUMBERS) - {"3"})


@pytest.mark.django_db
def test_a_worker_that_begins_tries_what_stood_still_once_more():
    made = stand_still()
    made.partitions, made.broken = 3, frozenset()
    catch_up()
    assert [one[1] for one in checkpoints()] == [3, 3, 3]
    assert Balance.objects.count() == 12


@pytest.mark.django_db
def test_what_fails_for_the_first_time_is_tried_again_and_then_stops():
    made = balances(2)
    append_history(12, 0)
    advance_all_but(partition_with("3", 2))
    tries = []

    class Counted(set):
        def __contains__(self, number):
            if number == "3":
                tries.append(number)
            return number == "3"

    made.partitions, made.broken = 5, Counted()
    with pytest.raises(ProjectionStopped, match="cannot"):
        catch_up()
    assert len(tries) >= 3, "and more often, to find it in its batch"
    assert {one[1] for one in checkpoints()} == {2}
    assert [one[3] for one in checkpoints()].count("stopped") == 1


@pytest.mark.django_db
def test_one_that_stands_still_can_be_rebuilt_into_other_partitions():
    made = stand_still()
    made.partitions, made.broken = 3, frozenset()
    # Not tried once more: that would be a worker's business.
    head = rebuild(made(), in_place=True)
    assert checkpoints() == [(number, 3, head, "running") for number in range(3)]
    assert Balance.objects.count() == 12


@pytest.mark.django_db
def test_events_behind_a_parked_one_are_parked_and_counted_where_their_key_is():
    made = balances(2, on_error=PARK, broken={"3"})
    append_history(12, 0)
    catch_up()
    mine = partition_with("3", 2)
    assert ParkedEvent.objects.get().partition == mine
    Account.deposit.transact("3", 1).unwrap()
    Account.deposit.transact("4", 1).unwrap()
    advance_all_but(mine)
    assert len({one[2] for one in checkpoints()}) == 2
    made.partitions = 7
    catch_up()
    assert {one[1] for one in checkpoints()} == {7}
    parked = ParkedEvent.objects.order_by("position")
    assert list(parked.values_list("event", "keys", "partition")) == [
        ("bank.Account/3@0", ["3"], partition_with("3", 7)),
        ("bank.Account/3@1", ["3"], partition_with("3", 7)),
    ]
    assert partition_with("3", 7) != mine
    made.broken = frozenset()
    retry(made())
    assert not parked.exists()
    assert Balance.objects.get(number="3").movements == 1


@pytest.mark.django_db
def test_parts_of_one_event_that_are_parked_come_together():
    made = balances(2)
    append_history(3, 0)
    catch_up()
    for partition, key in ((0, "a"), (1, "b")):
        ParkedEvent.objects.create(
            projection="test.Balances",
            partition=partition,
            position=2,
            event="bank.Account/1@0",
            keys=[key],
            error="it failed" if partition else "",
        )
    made.partitions = 1
    catch_up()
    (parked,) = ParkedEvent.objects.all()
    assert (parked.partition, parked.keys, parked.error) == (0, ["a", "b"], "it failed")


@pytest.mark.django_db
def test_events_without_a_key_are_in_the_same_partition_for_all():
    made = balances(2, key=lambda event: None if event.number == "3" else event.number)
    append_history(12, 0)
    advance_all_but(0)
    assert len({one[2] for one in checkpoints()}) == 2
    made.partitions = 3
    catch_up()
    assert Balance.objects.count() == 11
    assert {one[1:] for one in checkpoints()} == {(3, 12, "running")}


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_of_another_release_leaves_partitions_alone_for_a_while(number, monkeypatch):
    monkeypatch.setattr("rill_django.projections.upgrades.TURN_SECONDS", HOPE_SECONDS)
    made = balances(3)
    append_history(12, 1)
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    with isolated_projections():
        other = balances(number)
        checkpoints_of(other(), DjangoEventStore())
        append_history(5, 1, first=50)
        assert not worker.run_once()
        assert {one[1] for one in checkpoints()} == {number}
        later = SimpleNamespace(monotonic=lambda: monotonic() + HOPE_SECONDS)
        for module in ("division", "worker"):
            monkeypatch.setattr(f"rill_django.projections.{module}.time", later)
        worker.run_until_caught_up()
    assert {one[1:3] for one in checkpoints()} == {(3, DjangoEventStore().head())}
    assert made.partitions == 3
    assert movements() == {1}


@pytest.mark.django_db
def test_workers_of_two_releases_both_get_something_done():
    """Not: each makes its own partitions, and never comes to applying events before the other does."""
    append_history(6, 1)
    with isolated_projections():
        balances(2)
        first = ProjectionWorker()
    with isolated_projections():
        balances(3)
        second = ProjectionWorker()
    for _ in range(12):
        first.run_once()
        second.run_once()
    assert {one[2] for one in checkpoints()} == {DjangoEventStore().head()}
    assert movements() == {1}


@pytest.mark.django_db(transaction=True)
@several_writers
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_split_waits_for_that_of_another_release(monkeypatch, partitions):
    append_history(20, 5)
    made = balances(partitions)
    catch_up()
    splitting = Signal()
    split = division._split_anew

    def slowly(projection, position, seen):
        split(projection, position, seen)
        if projection.partitions == 2 and not splitting.is_set():
            splitting.set()
            wait_until_locked_out()

    monkeypatch.setattr(division, "_split_anew", slowly)

    def two():
        with isolated_projections():
            checkpoints_of(balances(2)(), DjangoEventStore())

    def three():
        with isolated_projections():
            projection = balances(3)()
            found = live_checkpoints(projection)
            assert splitting.wait(HOPE_SECONDS)
            Division(projection, DjangoEventStore()).step(found)

    at_once(two, three)
    # Where MySQL finds a deadlock, the first one has to try again, and comes last.
    last = {2, 3} if connection.vendor == "mysql" else {3}
    (found,) = {one[1] for one in checkpoints()}
    assert found in last
    catch_up()
    assert made.partitions == partitions
    assert movements() == {5}
    assert {one[1:3] for one in checkpoints()} == {(partitions, DjangoEventStore().head())}


@pytest.mark.django_db(transaction=True)
@several_writers
def test_whoever_locks_the_checkpoints_gets_those_that_somebody_has_just_made(monkeypatch):
    """A retry, a skip, or the last step of a rebuild."""
    append_history(5, 1)
    made = balances(2)
    catch_up()
    splitting = Signal()
    split = division._split_anew

    def slowly(projection, position, seen):
        split(projection, position, seen)
        splitting.set()
        wait_until_locked_out()

    monkeypatch.setattr(division, "_split_anew", slowly)
    found = []

    def divide():
        with isolated_projections():
            checkpoints_of(balances(3)(), DjangoEventStore())

    def look():
        assert splitting.wait(HOPE_SECONDS)
        with transaction.atomic():
            found.extend(live_checkpoints(made(), lock=True))

    at_once(divide, look)
    assert [(one.partition, one.partitions) for one in found] == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.django_db(transaction=True)
@several_writers
@pytest.mark.parametrize("splits", [(2, 3), (1, 3), (3, 3)])
def test_workers_of_two_releases_apply_every_event_once(splits, monkeypatch):
    monkeypatch.setattr("rill_django.projections.upgrades.TURN_SECONDS", 0.02)
    append_history(20, 5)
    stop = Signal()

    def worker(number):
        def run():
            with isolated_projections():
                balances(number)
                ProjectionWorker(batch_size=20).run(stop, poll_interval=0.002)

        return run

    def write():
        try:
            for first in range(100, 200, 10):
                append_history(10, 5, first=first)
                stop.wait(0.05)
        finally:
            stop.set()

    at_once(*map(worker, splits), write)
    made = balances(splits[-1])
    catch_up()
    assert movements() == {5}
    assert Balance.objects.count() == 120
    assert verify(made()).is_equal
