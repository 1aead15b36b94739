"""Workers of two releases at the same log, and how failures are counted."""

import threading

import pytest

from rill_django import PARK, STOP, Projection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections import lanes
from rill_django.projections.observing import BatchFailed, Outcome, subscribe, unsubscribe
from rill_django.projections.registry import isolated_projections
from rill_django.projections.worker import ProjectionWorker
from tests.bank.domain import Account
from tests.bank.models import AuditLine
from tests.patience import HOPE_SECONDS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 1e-6)


@pytest.fixture
def failures():
    seen = []

    @subscribe
    def listen(one):
        if isinstance(one, BatchFailed):
            seen.append((one.event.removeprefix("bank.Account/"), one.outcome))

    yield seen
    unsubscribe(listen)


def worker_of(trouble, *, policy=STOP):
    """A worker with code of its own, which fails on an event as often as ``trouble`` says."""
    with isolated_projections():

        class Lines(Projection):
            name = "test.Lines"
            models = (AuditLine,)
            on_error = policy
            tried = []

            @on(Account.opened)
            def happened(self, event):
                self.tried.append(event.number)
                if trouble.get(event.number, 0) > 0:
                    trouble[event.number] -= 1
                    raise KeyError("what is this")
                AuditLine.objects.create(text=event.number, position=event.position)

        worker = ProjectionWorker()
        worker.tried = Lines.tried
        return worker


def append(*numbers):
    for number in numbers:
        Account.open.transact(number, "Ann").unwrap()


def applied():
    return list(AuditLine.objects.order_by("pk").values_list("text", flat=True))


FOREVER = 10**9


# --- counting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
@pytest.mark.parametrize("policy", [STOP, PARK])
def test_every_event_is_tried_as_often_as_it_should_be(tries, policy, settings, failures):
    settings.RILL = {"HANDLER_TRIES": tries}
    append(*"12345")
    worker = worker_of({"2": FOREVER, "4": FOREVER}, policy=policy)
    worker.run_until_caught_up()
    assert worker.tried.count("2") == tries
    given_up = Outcome.STOPPED if policy is STOP else Outcome.PARKED
    expected = [("2@0", Outcome.RETRY)] * (tries - 1) + [("2@0", given_up)]
    if policy is PARK:
        assert worker.tried.count("4") == tries
        expected += [("4@0", Outcome.RETRY)] * (tries - 1) + [("4@0", given_up)]
        assert applied() == ["1", "3", "5"]
    assert failures == expected


def test_failures_that_pass_are_those_of_their_event(failures):
    append(*"123")
    worker = worker_of({"1": 2, "2": 2, "3": 2})
    worker.run_until_caught_up()
    assert applied() == ["1", "2", "3"]
    assert failures == [(f"{number}@0", Outcome.RETRY) for number in "112233"]


def test_what_another_worker_has_applied_meanwhile_counts_no_more():
    append(*"12")
    first, second = worker_of({"1": 2, "2": 2}), worker_of({"2": 1})
    first.run_once()
    first.run_once()
    assert applied() == []
    second.run_once()
    assert applied() == ["1"]
    first.run_until_caught_up()
    assert applied() == ["1", "2"]
    assert Checkpoint.objects.get().state == "running"


# --- two releases ----------------------------------------------------------------------------------


def take_turns(old, new, is_enough):
    for _ in range(1_000):
        old.run_once()
        new.run_once()
        if is_enough():
            return
    raise AssertionError(f"it never came to that: {applied()}")


def test_an_event_that_the_old_release_cannot_apply_stops_nobody_else():
    old, new = worker_of({"2": FOREVER, "3": FOREVER}), worker_of({})
    append("1")
    take_turns(old, new, lambda: applied() == ["1"])
    # The new worker looks elsewhere while the old one gives the event up.
    append("2")
    old.run_until_caught_up()
    assert Checkpoint.objects.get().state == "stopped"
    assert old.stopped
    new.run_until_caught_up()
    assert applied() == ["1", "2"]
    assert Checkpoint.objects.get().state == "running"
    append(*"345")
    take_turns(old, new, lambda: len(applied()) == 5)
    old.run_until_caught_up()
    assert not old.stopped, "it goes on with what it can apply"


def test_of_two_workers_that_cannot_each_gives_it_up_once(failures):
    one, other = worker_of({"1": FOREVER}), worker_of({"1": FOREVER})
    append("1")
    for _ in range(50):
        one.run_until_caught_up()
        other.run_until_caught_up()
    assert (len(one.tried), len(other.tried)) == (3, 3)
    assert len(failures) == 6
    assert one.stopped
    assert other.stopped


def test_an_event_that_the_old_release_cannot_read_stops_nobody_else():
    append("1")
    Account.deposit.transact("1", 5).unwrap()
    append("2")
    upcasters, release = list(current_registry().upcasters), "old"
    try:

        @upcast("bank.Account.opened")
        def changed(event):
            if release == "old" and event.data["number"] == "2":
                raise KeyError("gone")
            return [event]

        old, new = worker_of({}), worker_of({})
        for _ in range(2):
            release = "old"
            old.run_until_caught_up()
            assert old.stopped
            assert applied() == ["1"]
        release = "new"
        new.run_until_caught_up()
        assert applied() == ["1", "2"]
        assert Checkpoint.objects.get().state == "running"
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.opened")


@pytest.mark.parametrize("policy", [STOP, PARK])
def test_a_worker_that_runs_gives_others_a_turn_before_it_gives_up(policy, monkeypatch):
    # Longer than this test might stand still between two looks at the clock.
    monkeypatch.setattr(lanes, "OTHERS_TURN_SECONDS", HOPE_SECONDS)
    pauses, stop = [], threading.Event()
    old, new = worker_of({"1": FOREVER}, policy=policy), worker_of({}, policy=policy)
    append("1")

    class Stop:
        """Stands for the time that passes: the other worker has its turn whenever this one pauses."""

        def is_set(self):
            return stop.is_set()

        def wait(self, timeout=None):
            due = max((lane.due for lane in old._lanes), default=0.0) - lanes.time.monotonic()
            pauses.append(due)
            if due > lanes.OTHERS_TURN_SECONDS / 2:
                new.run_once()
                stop.set()
            return stop.is_set()

    old.run(Stop())
    assert max(pauses) > lanes.OTHERS_TURN_SECONDS / 2
    assert applied() == ["1"]
    assert Checkpoint.objects.get().state == "running"
    assert not ParkedEvent.objects.exists()
    assert old.tried == ["1", "1"]


def test_one_that_has_stopped_is_tried_by_the_next_that_begins():
    append("1")
    with isolated_projections():
        worker_of({"1": FOREVER}).run_until_caught_up()
    worker_of({}).run_until_caught_up()
    assert applied() == ["1"]
