"""What a lane keeps from batch to batch while it is behind, and when it must not."""

import pytest
from django.db.models import F

from rill_django import RowProjection, on
from rill_django.models import Checkpoint
from rill_django.projections.batches import read_batch
from rill_django.projections.lanes import Lane
from rill_django.projections.mending import retry
from rill_django.projections.pace import FIRST_EVENTS, QUICK_SECONDS, SLOW_SECONDS, Pace
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.projection import PARK
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rows.tables import RowTable
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.projections.rebuilds import append_history

pytestmark = pytest.mark.django_db


@pytest.fixture
def balances():
    with isolated_projections():

        class Balances(RowProjection):
            model = Balance
            key = "number"
            on_error = PARK

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

            @on(Account.deposited)
            def deposited(self, row, event):
                if event.number in broken:
                    raise ValueError("cannot")
                row.balance += event.amount
                row.movements += 1

        broken = Balances.broken = set()
        yield Balances


@pytest.fixture
def loads(monkeypatch):
    """Keys that were looked for in the table, a list for each look."""
    found = []
    matching = RowTable.matching

    def noting(self, keys):
        keys = list(keys)
        found.append(keys)
        return matching(self, keys)

    monkeypatch.setattr(RowTable, "matching", noting)
    return found


class Walk:
    """Takes a lane through the log, so many events at a time."""

    def __init__(self, projection):
        self.store = DjangoEventStore()
        self.lane = Lane(projection(), 0, tries=1, batch_size=100)
        self.position = checkpoints_of(projection(), self.store)[0].position

    def go(self, events, *, is_behind=True):
        head = self.store.head()
        batch = read_batch(self.store, [self.lane.projection], self.position, head, events)
        moved = self.lane.advance(batch, is_behind=is_behind)
        self.position = moved.position if moved else self.position
        return moved

    @property
    def keeps_rows(self):
        return self.lane._kept is not None


def rounds(number):
    """Append deposits to three accounts in turn."""
    for _ in range(number):
        for account in "012":
            Account.deposit.transact(account, 1).unwrap()


def figures():
    return dict(Balance.objects.values_list("number", "balance"))


def test_rows_stay_in_memory_while_it_is_behind(balances, loads):
    append_history(3, 0)
    rounds(3)
    walk = Walk(balances)
    walk.go(3)
    looked = len(loads)
    walk.go(3)
    walk.go(3)
    assert len(loads) == looked
    assert walk.keeps_rows
    walk.go(3, is_behind=False)
    assert not walk.keeps_rows
    assert figures() == {"0": 3, "1": 3, "2": 3}


def test_they_are_forgotten_when_another_worker_has_moved_the_checkpoint(balances):
    append_history(3, 0)
    rounds(4)
    first, second = Walk(balances), Walk(balances)
    first.go(6)
    second.position = first.position
    second.go(3)
    assert first.go(3) is None  # The other one was faster.
    first.position = second.position
    first.go(6)
    assert figures() == {"0": 4, "1": 4, "2": 4}


def test_they_are_forgotten_when_a_rebuild_was_swapped_in(balances):
    append_history(3, 0)
    rounds(2)
    walk = Walk(balances)
    Balance.objects.create(number="0", owner="wrong", balance=1000)
    walk.go(6)
    assert figures()["0"] == 1001
    head = DjangoEventStore.head
    position = walk.position
    DjangoEventStore.head = lambda self: position
    try:
        rebuild(balances(), in_place=True)
    finally:
        DjangoEventStore.head = head
    assert Checkpoint.objects.get().position == position
    assert figures()["0"] == 1
    walk.go(3)
    assert figures() == {"0": 2, "1": 2, "2": 2}


def test_they_are_forgotten_when_a_parked_event_was_applied(balances):
    append_history(3, 0)
    rounds(3)
    walk = Walk(balances)
    balances.broken.add("1")
    walk.go(4)  # Up to the first deposit of 0.
    walk.go(1)
    balances.broken.clear()
    walk.go(1)
    Balance.objects.filter(number="1").update(movements=F("movements") + 100)
    assert retry(balances()).applied == 1
    walk.go(3)
    walk.go(3)
    assert figures() == {"0": 3, "1": 3, "2": 3}
    assert Balance.objects.get(number="1").movements == 103


def test_they_are_forgotten_after_an_error(balances):
    append_history(3, 0)
    rounds(1)
    walk = Walk(balances)
    walk.go(4)
    balances.broken.add("1")
    walk.go(2)
    assert figures() == {"0": 1, "1": 0, "2": 1}


def test_a_pace_grows_while_batches_are_quick_and_shrinks_when_they_are_slow():
    pace = Pace(10_000)
    assert pace.events == FIRST_EVENTS
    for _ in range(10):
        pace.adapt(QUICK_SECONDS / 2)
    assert pace.events == 10_000
    pace.adapt((QUICK_SECONDS + SLOW_SECONDS) / 2)
    assert pace.events == 10_000
    for _ in range(10):
        pace.adapt(SLOW_SECONDS * 2)
    assert pace.events == FIRST_EVENTS
    assert Pace(7).events == 7
    small = Pace(7)
    small.adapt(0.0)
    small.adapt(SLOW_SECONDS * 2)
    assert small.events == 7
