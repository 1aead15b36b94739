"""Batches that end by time, and at once when somebody asks to stop; what is done is committed, once."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import cycle, pairwise

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from rill_django import PARK, Projection, RowProjection, on, on_batch, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import Checkpoint, ParkedEvent
from rill_django.projections import pace, turns
from rill_django.projections.batches import read_batch
from rill_django.projections.lanes import Lane
from rill_django.projections.mending import retry
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.rebuild import RebuildInterrupted, rebuild, verify
from rill_django.projections.rebuilding.progress import read_readable
from rill_django.projections.turns import Together, Turn
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.patience import HOPE_SECONDS, wait_until
from tests.projections.rebuilds import append_history

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def seconds(settings):
    settings.RILL = {"BATCH_SECONDS": 0.25}


class Clock:
    """Time that passes while handlers work, and never else."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in ("turns", "projection", "rows.buffer"):
        monkeypatch.setattr(f"rill_django.projections.{module}.monotonic", clock)
    monkeypatch.setattr(turns, "LOOK_EVERY_SECONDS", 0.0)
    return clock


def made(kind, work):
    """A projection of some kind whose handlers do ``work``, with what it has applied."""
    if kind == "rows":

        class Balances(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened, Account.deposited)
            def happened(self, row, event):
                row.owner = getattr(event, "owner", row.owner)
                row.movements += 1
                work()

        return Balances
    if kind == "free":

        class Lines(Projection):
            models = (AuditLine,)

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                AuditLine.objects.create(text=event.identity, position=event.position)
                work()

        return Lines
    if kind == "batches":

        class Batches(Projection):
            models = (AuditLine,)
            given = []

            @on_batch(Account.opened, Account.deposited)
            def happened(self, events):
                self.given.append(len(events))
                for event in events:
                    AuditLine.objects.create(text=event.identity, position=event.position)
                    work()

        return Batches

    class Own(Projection):
        models = (AuditLine,)
        given = []

        @on(Account.opened, Account.deposited)
        def happened(self, event): ...

        def apply(self, events):
            self.given.append(len(events))
            for event in events:
                AuditLine.objects.create(text=event.identity, position=event.position)
                work()

    return Own


KINDS = ["rows", "free", "batches", "own"]


def applied():
    """Events that are applied, each as often as it was."""
    return AuditLine.objects.count() + sum(Balance.objects.values_list("movements", flat=True))


class Walk:
    """A lane, so many events at a time."""

    def __init__(self, projection, **options):
        self.store = DjangoEventStore()
        self.lane = Lane(projection(), 0, tries=3, batch_size=1_000, **options)

    @property
    def position(self):
        return checkpoints_of(self.lane.projection, self.store)[0].position

    def go(self):
        batch = read_batch(
            self.store, [self.lane.projection], self.position, self.store.head(), 1_000
        )
        return self.lane.advance(batch, is_behind=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_ends_when_its_time_is_over(kind, clock):
    append_history(10, 9)
    with isolated_projections():
        projection = made(kind, lambda: setattr(clock, "now", clock.now + 0.05))
        walk = Walk(projection)
        walk.go()
        first = applied()
        assert first in ((5, 6) if kind in ("rows", "free") else (turns.FIRST_TOGETHER,))
        assert walk.position == first
        assert walk.lane.pace.events == first
        for _ in range(3):
            before = clock.now
            walk.go()
            assert 0.05 <= clock.now - before <= 0.31
            assert walk.position == applied()
        while walk.position < 100:
            walk.go()
        assert applied() == 100


@pytest.mark.parametrize("kind", KINDS)
def test_it_gets_on_however_slow_a_handler_is(kind, clock):
    append_history(3, 0)
    with isolated_projections():
        walk = Walk(made(kind, lambda: setattr(clock, "now", clock.now + 60)))
        for _ in range(3):
            walk.go()
        assert walk.position == applied() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_quick_handlers_get_more_again(kind, clock):
    append_history(10, 19)
    seconds = [0.1] * 20 + [0.0] * 1_000
    with isolated_projections():
        walk = Walk(made(kind, lambda: setattr(clock, "now", clock.now + seconds.pop(0))))
        worker = ProjectionWorker(batch_size=1_000)
        worker._lanes = [walk.lane]
        for _ in range(40):
            worker.run_once()
        assert applied() == 200
        assert walk.lane.pace.events > 10


@pytest.mark.parametrize("kind", ["rows", "free"])
def test_a_stop_commits_what_is_done_in_the_middle_of_a_batch(kind, monkeypatch):
    monkeypatch.setattr(turns, "LOOK_EVERY_SECONDS", 0.0)
    append_history(10, 9)
    stop, count = threading.Event(), []

    def work():
        count.append(1)
        if len(count) == 7:
            stop.set()

    with isolated_projections():
        made(kind, work)
        ProjectionWorker().run(stop)
        assert Checkpoint.objects.get().position == applied() == 7
        catch_up()
        assert applied() == 100


def test_those_of_one_position_are_applied_together(clock):
    append_history(3, 3)
    upcasters = list(current_registry().upcasters)
    try:

        @upcast("bank.Account.deposited")
        def thrice(event):
            return [event, event, event]

        with isolated_projections():
            walk = Walk(made("free", lambda: setattr(clock, "now", clock.now + 0.2)))
            while walk.position < 12:
                walk.go()
                tripled = AuditLine.objects.exclude(text__endswith="@0").count()
                assert tripled % 3 == 0
            assert AuditLine.objects.count() == 3 + 3 * 9
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.deposited")


def test_nothing_is_parked_behind_the_end_of_a_batch_that_was_cut(clock):
    append_history(3, 3)
    with isolated_projections():
        broken = {"1"}

        class Lines(Projection):
            models = (AuditLine,)
            on_error = PARK

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                clock.now += 0.2
                if event.number in broken:
                    raise ValueError("cannot")
                AuditLine.objects.create(text=event.identity, position=event.position)

        walk = Walk(Lines)
        walk.lane._tries = 1
        while walk.position < 12:
            walk.go()
            last = ParkedEvent.objects.order_by("position").last()
            assert last is None or last.position <= walk.position
            if last and broken and walk.position > 4:
                # What is parked is applied, and must not be met once more.
                broken.clear()
                retry(Lines())
        assert sorted(AuditLine.objects.values_list("text", flat=True)) == sorted(
            f"bank.Account/{number}@{version}" for number in "012" for version in range(4)
        )


def test_methods_for_several_events_get_few_at_first_and_then_as_many_as_there_is_time_for(clock):
    together, events = Together(), [type("E", (), {"position": n}) for n in range(100_000)]

    def sizes(seconds_each):
        for portion in together.portions(events, Turn(0.25)):
            clock.now += seconds_each * len(portion)
            yield len(portion)

    assert list(sizes(0.0))[:4] == [16, 64, 256, 1024]
    slow = list(sizes(0.01))
    assert slow[-1] > 1_000, "one call cannot be cut"
    assert max(sizes(0.01)) <= 13
    assert list(together.portions(events, Turn())) == [events]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["rows", "free"])
@pytest.mark.parametrize("way", ["beside", "in place", "verify"])
def test_rebuilds_stop_in_the_middle_of_a_batch(kind, way, monkeypatch):
    monkeypatch.setattr(turns, "LOOK_EVERY_SECONDS", 0.0)
    append_history(20, 9)
    stop, count, stops_at = threading.Event(), [], 10**9

    def work():
        count.append(1)
        if len(count) == stops_at:
            stop.set()

    with isolated_projections():
        projection = made(kind, work)
        catch_up()
        before = applied()
        count.clear()
        stops_at = 50

        def run(stop=None):
            if way == "verify":
                return verify(projection(), stop=stop)
            return rebuild(projection(), in_place=way == "in place", stop=stop)

        with pytest.raises(RebuildInterrupted):
            run(stop)
        assert len(count) == 50
        assert applied() == before == 200
        stops_at = 10**9
        run()
        assert applied() == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["rows", "free"])
def test_a_rebuild_reads_as_much_as_there_is_time_for(kind, clock, monkeypatch):
    """However little of the next batch still fits into a turn: pages of single events would take for ever."""

    def work():
        clock.now += next(takes)

    reads = []

    def read(store, projection, position, head, size):
        found = read_readable(store, projection, position, head, size)
        reads.append(len(found.events))
        return found

    append_history(800, 0)
    # A second is over in the midst of events of 0.3 s, and there is time for many of the others.
    takes = cycle([0.3, *[0.01] * 39])
    monkeypatch.setattr("rill_django.projections.rebuilding.steps.read_readable", read)
    with isolated_projections():
        assert rebuild(made(kind, work)()) == 800
    assert len(reads) < 50, reads


@pytest.mark.django_db(transaction=True)
def test_the_last_step_of_a_rebuild_keeps_nobody_waiting(clock):
    append_history(10, 9)
    waits = []

    def work():
        clock.now += 0.1

    with isolated_projections():
        projection = made("free", work)
        catch_up()
        told = []

        def progress(name, position, head):
            told.append(position)
            waits.append(clock.now)

        assert rebuild(projection(), progress=progress) == 100
        assert applied() == 100
        assert max(b - a for a, b in pairwise(waits)) <= 2.3


# --- others, meanwhile ----------------------------------------------------------------------------

# A process of its own, on the test database, with handlers that take their time.
_PROGRAM = """
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
settings.RILL = {}
import django
django.setup()
from tests.bank.domain import Account
from tests.bank.projections import Audit
def slow(handler):
    return lambda self, event: (time.sleep(0.05), handler(self, event))
Audit.handlers = {type: slow(handler) for type, handler in Audit.handlers.items()}
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "run_projections", "bank.Audit"])
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_with_slow_handlers_ends_in_time_gets_on_and_leaves_room_for_commands():
    append_history(100, 9)
    worker = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "RILL_TEST_NAME": str(connection.settings_dict["NAME"])},
        cwd=django_settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        begun = Checkpoint.objects.filter(name="bank.Audit", position__gt=0)
        wait_until(lambda: begun.exists() or worker.poll() is not None)
        assert worker.poll() is None, worker.stdout.read()
        for _ in range(5):
            Account.deposit.transact("1", 1).unwrap()
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=HOPE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
    assert worker.returncode == 0
    reached = Checkpoint.objects.get(name="bank.Audit").position
    assert 0 < reached < 1_000
    assert AuditLine.objects.count() == AuditLine.objects.values("position").distinct().count()
    assert AuditLine.objects.order_by("position").last().position == reached
    connections.close_all()


def test_a_database_with_one_writer_is_free_between_batches(monkeypatch):
    slept, now = [], [100.0]

    class Time:
        @staticmethod
        def monotonic():
            return now[0]

        @staticmethod
        def sleep(seconds):
            slept.append(seconds)
            now[0] += seconds

    monkeypatch.setattr(pace, "time", Time)
    breaths = pace.Breaths()

    def batch(seconds, read=0.001):
        now[0] += read
        breaths.take()
        now[0] += seconds
        breaths.owe("default", seconds)

    for _ in range(20):
        batch(0.25)
    if connection.vendor != "sqlite":
        assert not slept
        return
    assert sum(slept) + 20 * 0.001 >= 19 * 0.25 * pace.FREE_PART
    assert max(slept) <= pace.LONGEST_BREATH_SECONDS
    slept.clear()
    for _ in range(20):
        batch(0.25, read=0.1)
    assert sum(slept) <= pace.LONGEST_BREATH_SECONDS, "to read for so long is as good"
