"""The worker: batches, checkpoints, failures."""

from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connections

from rill_django import Projection, on, upcast
from rill_django.domain.registry import current_registry
from rill_django.models import Checkpoint
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import rebuild
from rill_django.projections.registry import UnknownProjection, current_projections
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch
from tests.patience import HOPE_SECONDS, wait_until

pytestmark = pytest.mark.django_db

OURS = ("bank.Audit", "bank.Balances", "bank.Branches")


@pytest.fixture
def history():
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 100).unwrap()
    Account.open.transact("2", "Bob").unwrap()
    Account.withdraw.transact("1", 30).unwrap()
    Account.open.transact("3", "Ann").unwrap()
    Account.close.transact("2").unwrap()


def rows():
    return {
        "balances": list(Balance.objects.order_by("pk").values_list()),
        "branches": list(
            Branch.objects.order_by("owner").values_list("branch", "owner", "accounts")
        ),
        "audit": list(AuditLine.objects.order_by("position").values_list("text", "position")),
    }


def test_projections_are_brought_up_to_date(history):
    catch_up(*OURS)
    found = rows()
    assert [
        (number, owner, int(balance), moves) for number, owner, balance, moves in found["balances"]
    ] == [
        ("1", "Ann", 70, 2),
        ("3", "Ann", 0, 0),
    ]
    assert found["branches"] == [("main", "Ann", 2), ("main", "Bob", 1)]
    assert [position for _, position in found["audit"]] == [1, 2, 3, 4, 5, 6]
    assert set(Checkpoint.objects.filter(name__in=OURS).values_list("position", "state")) == {
        (6, "running")
    }


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_the_rows_do_not_depend_on_where_batches_end(history, batch_size):
    ProjectionWorker(OURS, batch_size=batch_size).run_until_caught_up()
    in_small_batches = rows()
    for projection in current_projections().named(OURS):
        rebuild(projection)
    assert rows() == in_small_batches


def test_what_has_been_applied_is_not_applied_again(history):
    catch_up(*OURS)
    before = rows()
    catch_up(*OURS)
    assert rows() == before
    Account.deposit.transact("3", 5).unwrap()
    catch_up(*OURS)
    assert Balance.objects.get(pk="3").balance == 5
    assert AuditLine.objects.count() == 7


def test_one_read_of_the_log_serves_all_that_are_equally_far(history, monkeypatch):
    reads = []
    fetch = DjangoEventStore.fetch
    monkeypatch.setattr(
        DjangoEventStore, "fetch", lambda self, wanted: reads.append(wanted) or fetch(self, wanted)
    )
    ProjectionWorker(OURS).run_once()
    assert len(reads) == 1


def test_types_without_handlers_are_not_read(history):
    with isolated_projections():

        class Openings(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event):
                AuditLine.objects.create(text=event.owner, position=event.position)

        worker = ProjectionWorker()
        seen = []
        apply = Openings.apply
        Openings.apply = lambda self, events: seen.extend(events) or apply(self, events)
        worker.run_until_caught_up()
        assert {event.type for event in seen} == {"bank.Account.opened"}
        assert Checkpoint.objects.get(name=Openings.name).position == 6


def test_a_handler_that_fails_stops_its_projection_alone_and_leaves_no_trace(history):
    with isolated_projections() as projections:
        for name, trouble in (("good", None), ("bad", "bank.Account.withdrawn")):

            class Careful(Projection):
                models = (AuditLine,)

                @on(Account.opened, Account.withdrawn)
                def handle(self, event, trouble=trouble):
                    if event.type == trouble:
                        raise ValueError("cannot")
                    AuditLine.objects.create(text=self.name, position=event.position)

            del projections._by_name[Careful.name]
            Careful.name = name
            projections.add(Careful)

        worker = ProjectionWorker(batch_size=2)
        worker.run_until_caught_up()
        good = AuditLine.objects.filter(text="good").values_list("position", flat=True)
        bad = AuditLine.objects.filter(text="bad").values_list("position", flat=True)
        assert sorted(good) == [1, 3, 4, 5]
        assert sorted(bad) == [1, 3]
        stopped = Checkpoint.objects.get(name="bad")
        assert (stopped.state, stopped.failed_event) == ("stopped", "bank.Account/1@2")
        assert "ValueError: cannot" in stopped.error
        assert "bank.Account/1@2" in worker.stopped["bad"]
        with pytest.raises(ProjectionStopped, match="bad has stopped"):
            catch_up()


def test_after_a_mend_it_goes_on_where_it_stopped(history):
    with isolated_projections():
        broken = True

        class Mended(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event):
                if broken and event.number == "2":
                    raise ValueError("cannot")
                AuditLine.objects.create(text=event.number, position=event.position)

        with pytest.raises(ProjectionStopped):
            catch_up()
        broken = False
        catch_up()
        assert list(AuditLine.objects.order_by("pk").values_list("text", flat=True)) == [
            "1",
            "2",
            "3",
        ]
        checkpoint = Checkpoint.objects.get(name=Mended.name)
        assert (checkpoint.state, checkpoint.error, checkpoint.failed_event) == ("running", "", "")


def test_an_event_that_cannot_be_read_stops_those_who_want_it(history):
    upcasters = list(current_registry().upcasters)
    try:

        @upcast("bank.Account.withdrawn")
        def broken(event):
            raise KeyError("gone")

        with pytest.raises(ProjectionStopped, match="cannot be read by today's code"):
            catch_up("bank.Balances")
        assert Checkpoint.objects.get(name="bank.Balances").failed_event == "bank.Account/1@2"
    finally:
        current_registry().upcasters[:] = upcasters
        current_registry()._upcasted_types.discard("bank.Account.withdrawn")


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownProjection, match=r"no projection 'nope'.*bank\.Balances"):
        ProjectionWorker(["nope"])


def test_the_status_tells_position_and_lag(history):
    before = {status.name: status for status in projection_statuses()}["bank.Balances"]
    assert (before.description, before.position, before.lag) == ("never run", 0, 6)
    ProjectionWorker(OURS, batch_size=2).run_once()
    between = {status.name: status for status in projection_statuses()}["bank.Balances"]
    assert (between.description, between.position, between.lag) == ("behind", 2, 4)
    assert between.progress == pytest.approx(1 / 3)
    catch_up(*OURS)
    after = {status.name: status for status in projection_statuses()}["bank.Balances"]
    assert (after.description, after.lag, after.progress) == ("up to date", 0, 1)


def test_a_rebuild_that_fails_leaves_the_old_rows(history, monkeypatch):
    catch_up(*OURS)
    before = rows()

    def fails(self, row, event):
        raise ValueError("cannot")

    (balances,) = current_projections().named(["bank.Balances"])
    monkeypatch.setitem(dict(balances.handlers), "bank.Account.withdrawn", fails)
    monkeypatch.setattr(
        type(balances), "handlers", {**balances.handlers, "bank.Account.withdrawn": fails}
    )
    with pytest.raises(HandlerFailed):
        rebuild(balances)
    assert rows() == before


def test_a_rebuild_mends_rows_that_were_tampered_with(history):
    catch_up(*OURS)
    before = rows()
    Balance.objects.update(balance=999)
    Balance.objects.create(number="stray", owner="nobody")
    (balances,) = current_projections().named(["bank.Balances"])
    told = []
    assert rebuild(balances, progress=lambda *step: told.append(step)) == 6
    assert rows() == before
    assert told[-1] == ("bank.Balances", 6, 6)


@pytest.mark.django_db(transaction=True)
def test_a_running_worker_picks_up_what_is_committed_and_stops_when_asked():
    stop = Signal()
    worker = ProjectionWorker(OURS)

    def run():
        try:
            worker.run(stop, poll_interval=0.01)
        finally:
            connections.close_all()

    thread = Thread(daemon=True, target=run)
    thread.start()
    try:
        Account.open.transact("1", "Ann").unwrap()
        wait_until(lambda: Balance.objects.filter(pk="1").exists())
        assert Balance.objects.get(pk="1").owner == "Ann"
    finally:
        stop.set()
        thread.join(HOPE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("most_seconds", [0, None, 60, 1e-9])
def test_an_idle_worker_keeps_its_connection_for_as_long_as_it_may(most_seconds, monkeypatch):
    connection = connections["default"]
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", most_seconds)
    connection.close()
    seen = []

    class Idle:
        def is_set(self):
            return len(seen) == 4

        def wait(self, timeout=None):
            seen.append(connection.connection)

    ProjectionWorker(OURS).run(Idle())
    if most_seconds == 1e-9:
        assert seen == [None] * 4
    else:
        assert seen == [seen[0]] * 4
        assert seen[0] is not None
