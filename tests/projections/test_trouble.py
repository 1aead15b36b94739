"""Trouble of the database that passes: it is waited out, seen, and never taken for an event's failure."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, transaction

from rill_django import PARK, STOP, Projection, RowProjection, on
from rill_django.models import Checkpoint, ParkedEvent, SkippedEvent
from rill_django.projections import health, waits
from rill_django.projections.mending import retry, skip
from rill_django.projections.rebuild import rebuild
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 1e-6)
    monkeypatch.setattr(waits, "LONGEST_PAUSE_SECONDS", 1e-6)
    monkeypatch.setattr(waits, "SAY_AFTER_SECONDS", 0.0)


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def signal(state, number):
    """Have the server itself say it."""
    if connection.vendor == "postgresql":
        execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
    elif connection.vendor == "mysql":
        execute(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")
    else:
        raise OperationalError("database is locked")


def lock_timeout():
    signal("55P03", 1205)


def deadlock():
    signal("40P01", 1213)


def disk_full():
    signal("53100", 1021)


def read_only():
    if connection.vendor != "sqlite":
        return signal("25006", 1290)
    execute("PRAGMA query_only = 1")
    try:
        execute("INSERT INTO bank_auditline (text, position) VALUES ('x', 1)")
    finally:
        execute("PRAGMA query_only = 0")


def too_slow():
    signal("57014", 3024)


def no_table():
    execute("SELECT * FROM nowhere")


def no_column():
    execute("SELECT absent FROM bank_balance")


def wrapped():
    try:
        with transaction.atomic():
            no_table()
    except Exception as error:
        raise ValueError("something went wrong") from error


def while_handling():
    try:
        with transaction.atomic():
            no_table()
    except Exception:
        raise ValueError("something went wrong")  # noqa: B904 - as people write it


TROUBLES = [
    lock_timeout,
    deadlock,
    disk_full,
    read_only,
    too_slow,
    no_table,
    no_column,
    wrapped,
    while_handling,
]


@pytest.fixture
def lines():
    """A projection with a trouble at some of its events."""
    with isolated_projections():

        class Lines(Projection):
            models = (AuditLine,)
            trouble = None
            at = "bank.Account/2@0"
            tried = 0

            @on(Account.opened, Account.deposited)
            def happened(self, event):
                if event.identity == self.at and self.trouble:
                    type(self).tried += 1
                    type(self).trouble()
                AuditLine.objects.create(text=event.identity, position=event.position)

        yield Lines


@pytest.fixture
def history():
    for number in "123":
        Account.open.transact(number, "Ann").unwrap()
    for number in "123":
        Account.deposit.transact(number, 5).unwrap()


def applied():
    return [
        text.removeprefix("bank.Account/")
        for text in AuditLine.objects.order_by("pk").values_list("text", flat=True)
    ]


@contextmanager
def newer_table():
    """Give the table a column that has to have a value, and no default: as Django's migrations leave it."""
    if connection.vendor == "sqlite":
        execute("ALTER TABLE bank_balance RENAME TO bank_balance_before")
        execute(
            "CREATE TABLE bank_balance (number varchar(30) PRIMARY KEY, owner varchar(100) NOT NULL, "
            "balance decimal NOT NULL, movements integer NOT NULL, colour varchar(9) NOT NULL)"
        )
        try:
            yield
        finally:
            execute("DROP TABLE bank_balance")
            execute("ALTER TABLE bank_balance_before RENAME TO bank_balance")
        return
    execute("ALTER TABLE bank_balance ADD COLUMN colour varchar(9) NOT NULL")
    try:
        yield
    finally:
        execute("ALTER TABLE bank_balance DROP COLUMN colour")


ALL = ["1@0", "2@0", "3@0", "1@1", "2@1", "3@1"]


def run_until(worker, is_enough):
    for _ in range(10_000):
        if is_enough():
            return
        worker.run_once()
    raise AssertionError("it never came to that")


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("policy", [STOP, PARK])
def test_it_is_waited_out_whatever_is_said_of_errors(lines, history, policy, trouble):
    lines.on_error, lines.trouble = policy, trouble
    worker = ProjectionWorker()
    run_until(worker, lambda: lines.tried > 20)
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.state, checkpoint.is_waiting) == ("running", True)
    assert checkpoint.failed_event == lines.at
    assert not ParkedEvent.objects.exists()
    assert not worker.stopped
    assert applied() == ["1@0"], "what comes before is applied, since less is tried at a time"
    lines.trouble = None
    worker.run_until_caught_up()
    assert applied() == ALL
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.is_waiting, checkpoint.waiting_since, checkpoint.error) == (False, None, "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("policy", [STOP, PARK])
def test_a_column_that_a_newer_release_has_added_is_waited_for(history, policy):
    """Between its migrations and its start: the worker that runs does not know that column."""
    with isolated_projections():

        class Balances(RowProjection):
            model = Balance
            key = "number"
            on_error = policy

            @on(Account.opened)
            def opened(self, row, event):
                row.owner = event.owner

        worker = ProjectionWorker()
        with newer_table():
            run_until(worker, lambda: Checkpoint.objects.filter(error__contains="colour").exists())
            (status,) = projection_statuses()
            assert status.description == "waiting"
        run_until(worker, lambda: Balance.objects.count() == 3)
        assert not ParkedEvent.objects.exists()
        assert not worker.stopped


@pytest.mark.parametrize("policy", [STOP, PARK])
def test_a_value_that_is_missing_in_a_known_column_is_the_events_failure(lines, history, policy):
    lines.on_error, lines.trouble = policy, lambda: Balance.objects.create(number="x", owner=None)
    worker = ProjectionWorker()
    run_until(worker, lambda: worker.stopped or ParkedEvent.objects.exists())


def test_rows_that_are_written_together(history):
    with isolated_projections():

        class Balances(RowProjection):
            model = Balance
            key = "number"
            on_error = PARK

            @on(Account.opened)
            def opened(self, row, event):
                if troubles:
                    troubles.pop()()
                row.owner = event.owner

            @on(Account.deposited)
            def deposited(self, row, event):
                row.balance += event.amount

        troubles = TROUBLES * 2
        worker = ProjectionWorker()
        run_until(worker, lambda: not troubles)
        worker.run_until_caught_up()
        assert not ParkedEvent.objects.exists()
        assert [int(one) for one in Balance.objects.values_list("balance", flat=True)] == [5] * 3


def duplicate():
    Balance.objects.create(number="1", owner="Ann")
    Balance.objects.create(number="1", owner="Ann")


def null():
    Balance.objects.create(number="1", owner=None)


@pytest.mark.parametrize("trouble", [duplicate, null])
@pytest.mark.parametrize("policy", [STOP, PARK])
def test_what_is_wrong_with_data_is_the_events_failure(lines, history, policy, trouble):
    lines.on_error, lines.trouble = policy, trouble
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    assert lines.tried == 3
    parked = policy is PARK
    assert ParkedEvent.objects.count() == (2 if parked else 0)
    assert Checkpoint.objects.get().state == ("running" if parked else "stopped")
    assert not Checkpoint.objects.get().is_waiting


def test_status_health_and_metrics_say_so(lines, history):
    lines.trouble = no_column
    worker = ProjectionWorker()
    run_until(worker, lambda: Checkpoint.objects.filter(failed_event=lines.at).exists())
    (status,) = projection_statuses()
    assert (status.description, status.is_waiting, status.lag) == ("waiting", True, 5)
    assert "absent" in status.reason
    assert health.check() == [], "what passes soon is nobody's concern"
    long_ago = Checkpoint.objects.get().waiting_since - timedelta(minutes=5)
    Checkpoint.objects.update(waiting_since=long_ago)
    run_until(worker, lambda: lines.tried > 10)
    assert Checkpoint.objects.get().waiting_since == long_ago
    (problem,) = health.check()
    assert str(problem) == f"{lines.name} waits for its database since 5 min"
    with pytest.raises(CommandError, match="waits for its database since 5 min"):
        call_command("projection_status")
    prometheus = pytest.importorskip("rill_django.contrib.prometheus")
    samples = [one for metric in prometheus.StatusCollector().collect() for one in metric.samples]
    (waiting,) = [one.value for one in samples if one.name == "rill_projection_waiting_seconds"]
    assert waiting >= 300


def test_what_cannot_be_noted_is_waited_for_all_the_same(lines, history, monkeypatch):
    def fails(self, *_):
        no_table()

    monkeypatch.setattr(Checkpoint, "wait", fails)
    lines.trouble = disk_full
    worker = ProjectionWorker()
    run_until(worker, lambda: lines.tried > 10)
    lines.trouble = None
    worker.run_until_caught_up()
    assert applied() == ALL


def test_an_event_that_is_waited_at_can_be_skipped(lines, history):
    lines.trouble = no_column
    worker = ProjectionWorker()
    run_until(worker, lambda: Checkpoint.objects.filter(failed_event=lines.at).exists())
    skip(lines(), lines.at, "its column will never be there")
    worker.run_until_caught_up()
    assert applied() == ["1@0", *ALL[2:]]
    assert "absent" in SkippedEvent.objects.get().error


def test_who_wants_to_get_done_leaves_it_after_a_while(lines, history, monkeypatch):
    monkeypatch.setattr(waits, "_PATIENCE", {})
    monkeypatch.setattr(waits, "_LEAST_PATIENCE", 0.0)
    lines.trouble = no_table
    with pytest.raises(ProjectionStopped, match="nowhere"):
        catch_up()
    assert Checkpoint.objects.get().state == "running"
    with pytest.raises(CommandError, match="nowhere"):
        call_command("run_projections", "--once")
    lines.trouble = None
    catch_up()
    assert applied() == ALL


@pytest.mark.parametrize("trouble", TROUBLES[:-2])
def test_trouble_of_the_log_is_waited_out_too(lines, history, trouble):
    stop, troubles = threading.Event(), [trouble] * 5

    class Store(DjangoEventStore):
        def sequence(self):
            if troubles:
                with transaction.atomic():
                    troubles.pop()()
            return super().sequence()

        def reconnect(self):
            """The test is in a transaction."""

    worker = ProjectionWorker(store=Store(), progress=lambda *_: stop.set())
    worker._reconnect = lambda: None
    worker.run(stop, poll_interval=0.001)
    assert applied()
    assert troubles == []


def test_mistakes_of_the_log_are_not(lines, history):
    class Store(DjangoEventStore):
        def sequence(self):
            raise IntegrityError("no")

    with pytest.raises(IntegrityError):
        ProjectionWorker(store=Store()).run(threading.Event())


def test_a_parked_event_stays_as_it_is_when_a_retry_meets_trouble(lines, history):
    lines.on_error, lines.trouble = PARK, null
    catch_up()
    before = list(ParkedEvent.objects.values_list("event", "error"))
    lines.trouble = disk_full
    with pytest.raises(CommandError, match="could not do it now"):
        call_command("retry_projection", lines.name)
    assert list(ParkedEvent.objects.values_list("event", "error")) == before
    lines.trouble = None
    assert retry(lines()).still_parked == 0


def test_a_rebuild_parks_nothing_for_it(lines, history):
    lines.on_error, lines.trouble = PARK, disk_full
    with pytest.raises(Exception, match=r"no|locked"):
        rebuild(lines())
    assert not ParkedEvent.objects.exists()


# --- what stands still is tried again ------------------------------------------------------------


def fails():
    raise ValueError("cannot")


def test_what_stands_still_is_tried_again_now_and_then(lines, history, settings):
    settings.RILL = {"RETRY_STOPPED_SECONDS": 1_000_000}
    lines.trouble = fails
    worker = ProjectionWorker()
    worker.run_until_caught_up()
    assert Checkpoint.objects.get().state == "stopped"
    lines.trouble = None
    worker.run_until_caught_up()
    assert Checkpoint.objects.get().state == "stopped", "it is not time yet"
    settings.RILL = {"RETRY_STOPPED_SECONDS": 0}
    worker = ProjectionWorker()
    lines.trouble = fails
    run_until(worker, lambda: worker.stopped)
    lines.trouble = None
    run_until(worker, lambda: len(applied()) == 6)
    assert not worker.stopped
