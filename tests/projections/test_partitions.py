"""Projections that are split by key, and several workers that share the work."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal

import pytest
from django.db import connection, connections

from rill_django import Projection, on
from rill_django.models import Checkpoint
from rill_django.projections.partitions import checkpoints_of
from rill_django.projections.rows import RowBuffer
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.patience import HOPE_SECONDS, wait_until

NUMBERS = [str(number) for number in range(12)]


@pytest.fixture
def split():
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            partitions = 3

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                AuditLine.objects.create(text=event.identity, position=event.position)

        yield Lines


def deposit(*numbers):
    for number in numbers:
        Account.deposit.transact(number, 1).unwrap()


def open_all():
    for number in NUMBERS:
        Account.open.transact(number, "Ann").unwrap()


def everything_once_and_in_order():
    lines = list(AuditLine.objects.order_by("pk").values_list("text", "position"))
    events = [(event.identity, event.position) for event in DjangoEventStore().read()]
    assert sorted(lines) == sorted(events)
    for number in NUMBERS:
        of_one = [
            position for text, position in lines if text.startswith(f"bank.Account/{number}@")
        ]
        assert of_one == sorted(of_one)


@pytest.mark.django_db
def test_each_partition_has_a_checkpoint_and_part_of_the_events(split):
    open_all()
    deposit(*NUMBERS)
    catch_up()
    everything_once_and_in_order()
    checkpoints = Checkpoint.objects.order_by("partition")
    assert list(checkpoints.values_list("partition", "partitions", "position")) == [
        (0, 3, 24),
        (1, 3, 24),
        (2, 3, 24),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_number_of_partitions_can_be_changed_at_any_time(split, number):
    open_all()
    worker = ProjectionWorker(batch_size=5)
    worker.run_once()
    # Leave the partitions at different places.
    worker._lanes = worker._lanes[:1]
    worker.run_once()
    positions = set(Checkpoint.objects.values_list("position", flat=True))
    assert len(positions) == 2
    split.partitions = number
    found = checkpoints_of(split(), DjangoEventStore())
    assert {one.position for one in found} == {max(positions)}
    deposit(*NUMBERS)
    catch_up()
    everything_once_and_in_order()
    assert Checkpoint.objects.count() == number


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_workers_that_run_at_once_share_the_work_and_do_nothing_twice(split):
    stop = Signal()
    open_all()

    def work(worker):
        try:
            worker.run(stop, poll_interval=0.001)
            return worker.stopped
        finally:
            connections.close_all()

    def write():
        try:
            for _ in range(10):
                deposit(*NUMBERS)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        # Made here: threads do not see the test's own registry of projections.
        workers = [pool.submit(work, ProjectionWorker(batch_size=3)) for _ in range(3)]
        pool.submit(write).result()
        head = DjangoEventStore().head()
        try:
            wait_until(lambda: set(Checkpoint.objects.values_list("position", flat=True)) == {head})
        finally:
            stop.set()
        assert [worker.result() for worker in workers] == [{}, {}, {}]
    everything_once_and_in_order()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no connection to lose")
def test_a_lost_connection_is_made_anew(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.01)
    open_all()
    stop = Signal()
    worker = ProjectionWorker(["bank.Balances"], batch_size=2)
    ended = []
    flush = RowBuffer.flush

    def cut_now_and_then(self):
        flush(self)
        if len(ended) < 5:
            ended.append(_cut(connection))

    monkeypatch.setattr(RowBuffer, "flush", cut_now_and_then)

    def run():
        try:
            worker.run(stop, poll_interval=0.001)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            wait_until(lambda: Balance.objects.count() == len(NUMBERS) and len(ended) == 5)
        finally:
            stop.set()
        running.result(HOPE_SECONDS)
    assert len(ended) == 5
    assert worker.stopped == {}
    assert Balance.objects.count() == len(NUMBERS)


def _cut(connection):
    """End the server's side of this thread's connection, from another one."""
    if connection.vendor == "postgresql":
        number_of, end = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s)"
    else:
        number_of, end = "SELECT CONNECTION_ID()", "KILL %s"
    with connection.cursor() as cursor:
        cursor.execute(number_of)
        (number,) = cursor.fetchone()

    def cut():
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute(end, (number,))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(cut).result()
    return number
