"""A projection's version raised in the code: the worker builds its rows anew, and swaps them in."""

from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connection, connections

from rill_django import Projection, on
from rill_django.models import Checkpoint
from rill_django.projections import health
from rill_django.projections.mending import NothingToSkip, retry, skip
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.renewal import Renewal
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Holding
from tests.patience import HOPE_SECONDS, wait_until
from tests.projections.rebuilds import append_history, contents, customers_projection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def customers():
    with isolated_projections():
        yield type(customers_projection())


def doubled(self, event):
    holding = Holding.objects.get(number=event.number)
    holding.balance += 2 * event.amount
    holding.save()


def fails(self, event):
    raise ValueError("cannot")


def raise_version(projection, handler=doubled):
    projection.version += 1
    projection.handlers = {**projection.handlers, "bank.Account.deposited": handler}


def balances():
    return set(Holding.objects.values_list("balance", flat=True))


def live(projection):
    found = Checkpoint.objects.get(name=projection.name, is_beside=False)
    return found.version, found.position, found.state


def test_the_worker_brings_the_rows_to_the_version_of_the_code(customers):
    append_history(10, 3)
    catch_up()
    assert balances() == {3}
    raise_version(customers)
    catch_up()
    assert balances() == {6}
    assert live(customers) == (2, 40, "running")
    assert not Checkpoint.objects.filter(is_beside=True).exists()
    append_history(1, 3, first=50)
    catch_up()
    assert balances() == {6}


def test_until_the_swap_the_rows_are_left_as_the_old_release_made_them(customers, monkeypatch):
    append_history(30, 3)
    catch_up()
    raise_version(customers)
    monkeypatch.setattr("rill_django.projections.rebuilding.steps.FEW_EVENTS", 5)
    append_history(1, 3, first=50)
    worker = ProjectionWorker(batch_size=40)
    assert worker.run_once()
    assert balances() == {3}
    assert live(customers)[:2] == (1, 120)
    worker.run_until_caught_up()
    assert balances() == {6}
    assert live(customers)[:2] == (2, 124)


def test_other_projections_go_on_between_the_steps(customers, monkeypatch):
    class Lines(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event):
            AuditLine.objects.create(text=event.owner, position=event.position)

    monkeypatch.setattr("rill_django.projections.rebuilding.steps.FEW_EVENTS", 1)
    append_history(10, 5)
    catch_up()
    raise_version(customers)
    append_history(1, 5, first=90)
    worker = ProjectionWorker(batch_size=10)
    worker.run_once()
    assert AuditLine.objects.count() == 11
    assert live(customers)[:2] == (1, 60)
    worker.run_until_caught_up()
    assert live(customers)[:2] == (2, 66)


def test_code_older_than_the_rows_leaves_them_alone(customers, caplog):
    append_history(3, 2)
    raise_version(customers)
    catch_up()
    assert balances() == {4}
    customers.version = 1
    append_history(1, 2, first=50)
    for _ in range(2):
        catch_up()
    assert live(customers) == (2, 9, "running")
    assert caplog.text.count(f"run rebuild_projections {customers.name}") == 2
    rebuild(customers())
    assert live(customers)[:2] == (1, 12)
    append_history(1, 2, first=60)
    catch_up()
    assert live(customers)[:2] == (1, 15)


def test_what_cannot_be_built_is_told_and_not_tried_again_by_itself(customers):
    append_history(3, 2)
    catch_up()
    before = contents()
    raise_version(customers, fails)
    with pytest.raises(ProjectionStopped, match=r"version 2 has stopped: .*bank.Account/0@1"):
        catch_up()
    assert contents() == before
    assert live(customers) == (1, 9, "running")
    (noted,) = Checkpoint.objects.filter(is_beside=True)
    assert (noted.version, noted.state, noted.failed_event) == (2, "stopped", "bank.Account/0@1")
    assert "ValueError: cannot" in noted.error
    assert [str(one) for one in health.check()] == [
        f"{customers.name} (beside) stands still at bank.Account/0@1"
    ]

    worker = ProjectionWorker()
    worker.run_until_caught_up()  # A new one tries once.
    customers.handlers = {**customers.handlers, "bank.Account.deposited": doubled}
    worker.run_once()
    assert contents() == before
    assert retry(customers()).resumed == 1
    worker.run_until_caught_up()
    assert balances() == {4}
    assert live(customers) == (2, 9, "running")
    assert not Checkpoint.objects.filter(is_beside=True).exists()


def test_a_database_error_of_the_new_handlers_stops_the_new_version_alone(customers):
    append_history(2, 1)
    catch_up()

    def twice(self, event):
        Holding.objects.create(pk=Holding.objects.first().pk, number="x", customer_id=1)

    raise_version(customers, twice)
    with pytest.raises(ProjectionStopped, match="version 2"):
        catch_up()
    assert live(customers) == (1, 4, "running")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="elsewhere each builds its own")
def test_while_another_builds_it_the_worker_waits(customers):
    append_history(3, 2)
    catch_up()
    raise_version(customers)
    with Rebuild(place_for(customers(), "beside")):
        worker = ProjectionWorker()
        assert not worker.run_once()
        assert worker.stopped == {}
        assert live(customers)[0] == 1
    worker.run_until_caught_up()
    assert live(customers)[0] == 2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="elsewhere it begins anew")
def test_a_worker_that_leaves_is_followed_by_one_that_goes_on(customers, monkeypatch):
    append_history(30, 3)
    catch_up()
    raise_version(customers)
    stop = Signal()
    seen = []

    def progress(name, position, head):
        seen.append(position)
        stop.set()

    ProjectionWorker(batch_size=50, progress=progress).run_until_caught_up(stop)
    assert seen == [50]
    ProjectionWorker(
        batch_size=50, progress=lambda name, position, head: seen.append(position)
    ).run_until_caught_up()
    assert seen[:3] == [50, 100, 120]
    assert live(customers)[0] == 2


def test_partitions_may_change_with_the_version(customers):
    append_history(12, 3)
    customers.partitions = 2
    ProjectionWorker(batch_size=7).run_until_caught_up()
    customers.partitions = 3
    raise_version(customers)
    catch_up()
    assert balances() == {6}
    found = Checkpoint.objects.filter(name=customers.name, is_beside=False).order_by("partition")
    assert list(found.values_list("partition", "partitions", "version")) == [
        (number, 3, 2) for number in range(3)
    ]


def test_a_running_worker_swaps_while_events_come_in(customers):
    append_history(20, 5)
    catch_up()
    raise_version(customers)
    stop = Signal()
    worker = ProjectionWorker(batch_size=20)  # Made here: threads do not see the test's registry.

    def work():
        try:
            worker.run(stop, poll_interval=0.005)
        finally:
            connections.close_all()

    thread = Thread(daemon=True, target=work)
    thread.start()
    try:
        for number in range(100, 130):
            append_history(1, 5, first=number)
        wait_until(lambda: live(customers)[:2] == (2, 300))
    finally:
        stop.set()
        thread.join(HOPE_SECONDS)
    assert live(customers) == (2, 300, "running")
    assert balances() == {10}


class _Trouble:
    """What a new version's handler may raise, or do, that the database knows nothing of."""

    @staticmethod
    def batch(self, events):
        raise ValueError("cannot")

    @staticmethod
    def wrong_value(self, event):
        Holding.objects.create(number=event.number, customer_id=1, balance="many")


@pytest.mark.parametrize("trouble", [_Trouble.batch, _Trouble.wrong_value])
def test_whatever_goes_wrong_stops_the_new_version_alone(customers, trouble):
    append_history(5, 2)
    catch_up()
    raise_version(customers, trouble)
    if trouble is _Trouble.batch:
        customers.batch_handlers = frozenset({trouble})
    lines = lines_of_openings()
    worker = ProjectionWorker()
    append_history(1, 0, first=50)
    worker.run_until_caught_up()
    assert list(worker.stopped) == [f"{customers.name}, version 2"]
    assert live(customers)[0] == 1
    assert AuditLine.objects.count() == 6
    assert Checkpoint.objects.get(name=lines.name).position == 16
    assert Checkpoint.objects.get(is_beside=True).state == "stopped"


def lines_of_openings():
    class Lines(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event):
            AuditLine.objects.create(text=event.owner, position=event.position)

    return Lines


def test_an_event_on_which_only_the_new_version_fails_can_be_skipped(customers):
    append_history(3, 1)
    catch_up()

    def picky(self, event):
        if event.number == "1":
            raise ValueError("cannot")
        doubled(self, event)

    raise_version(customers, picky)
    ProjectionWorker().run_until_caught_up()
    with pytest.raises(NothingToSkip):
        skip(customers(), "bank.Account/2@1", "wrong one")
    assert skip(customers(), "bank.Account/1@1", "never mind").position == 4
    catch_up()
    assert live(customers)[0] == 2
    assert dict(Holding.objects.values_list("number", "balance")) == {"0": 2, "1": 0, "2": 2}


@pytest.mark.skipif("connection.vendor == 'postgresql'", reason="OperationalError elsewhere only")
def test_code_before_its_migration_stops_the_new_version_alone(customers, monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 0.001)
    append_history(3, 2)
    catch_up()
    raise_version(customers)
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE bank_holding RENAME COLUMN balance TO money")
    try:
        worker = ProjectionWorker()
        worker.run_until_caught_up()
        assert list(worker.stopped) == [f"{customers.name}, version 2"]
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE bank_holding RENAME COLUMN money TO balance")
    catch_up()
    assert live(customers)[0] == 2


def test_a_slow_worker_of_an_older_release_does_not_lower_the_version(customers, monkeypatch):
    append_history(3, 2)
    catch_up()
    raise_version(customers)
    old = ProjectionWorker()
    step = Renewal.step

    def late(self):
        monkeypatch.setattr(Renewal, "step", step)
        customers.version = 3
        catch_up()
        customers.version = 2
        return step(self)

    monkeypatch.setattr(Renewal, "step", late)
    old.run_until_caught_up()
    assert live(customers)[0] == 3
    assert not Checkpoint.objects.filter(is_beside=True).exists(), "nobody would take that up"
