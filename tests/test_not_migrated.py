"""A log that is not migrated, or older than the code, says what to do wherever it is asked."""

import logging
from contextlib import contextmanager
from io import StringIO
from threading import Event as Flag

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.urls import reverse
from health_check.exceptions import ServiceUnavailable

from rill_django import get_all
from rill_django.checks_of_the_log import check_migrations
from rill_django.contrib.health_check import Projections
from rill_django.projections import health
from rill_django.projections.registry import current_projections
from rill_django.projections.status import projection_statuses
from rill_django.projections.waiting import wait_for
from rill_django.projections.worker import ProjectionWorker, catch_up
from rill_django.store.migrated import NotMigrated, not_migrated
from rill_django.store.orm import DjangoEventStore
from rill_django.store.stored_types import stored_types
from rill_django.store.trouble import Trouble, trouble_of
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = pytest.mark.django_db(transaction=True)

EVENT, CHECKPOINT = "rill_django_event", "rill_django_checkpoint"


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def renamed(table, column=None):
    """A table, or a column of one, that has another name for a while."""
    part = f"RENAME COLUMN {column} TO" if column else "RENAME TO"
    old, new = column or table, "elsewhere"
    sql(f"ALTER TABLE {table} {part} {new}")
    try:
        yield
    finally:
        if column:
            sql(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
        else:
            sql(f"ALTER TABLE {new} RENAME TO {table}")


@pytest.fixture
def result():
    stored_types.forget()
    return Account.open.transact("1", "Ann")


@pytest.fixture
def no_events(result):
    with renamed(EVENT):
        yield


@pytest.fixture
def old_checkpoints(result):
    with renamed(CHECKPOINT, "waiting_since"):
        yield


def says_so(error):
    assert "manage.py migrate" in str(error)
    assert "rill_django in the database 'default'" in str(error)
    return True


ASKING = {
    "a command": lambda: Account.open.transact("2", "Ann"),
    "one with an idempotency key": lambda: Account.open.transact("2", "Ann", idempotency_key="k"),
    "get": lambda: Account.get("2"),
    "get_all": lambda: get_all([Account("2")]),
    "the store": lambda: list(DjangoEventStore().read().limit(1).stored()),
    "the identities": lambda: DjangoEventStore().identities_at([1]),
}
ASKING_FOR_CHECKPOINTS = {
    "catch_up": lambda: catch_up(),
    "the status": lambda: projection_statuses(),
    "the health": lambda: health.check(),
}


@pytest.mark.parametrize("name", ASKING)
def test_whoever_asks_the_log_is_told(no_events, name):
    with pytest.raises(NotMigrated) as told:
        ASKING[name]()
    assert says_so(told.value)
    assert isinstance(told.value, DatabaseError)
    assert trouble_of(told.value) is Trouble.SCHEMA
    assert len(told.traceback) < 30
    assert told.value.__suppress_context__


@pytest.mark.parametrize("name", ASKING_FOR_CHECKPOINTS)
def test_whoever_asks_for_projections_is_told_of_a_column_that_is_not_there_yet(
    old_checkpoints, name
):
    with pytest.raises(NotMigrated) as told:
        ASKING_FOR_CHECKPOINTS[name]()
    assert says_so(told.value)


def test_so_is_a_monitor(old_checkpoints):
    with pytest.raises(ServiceUnavailable, match=r"manage\.py migrate"):
        Projections().run()


def test_so_is_whoever_waits_for_a_projection(result):
    (projection,) = current_projections().named(["bank.Balances"])
    with renamed(CHECKPOINT, "state"), pytest.raises(NotMigrated):
        wait_for(projection, result, timeout=0.1)


COMMANDS = {
    "verify_events": {},
    "export_events": {},
    "projection_status": {},
    "run_projections": {"once": True},
    "rebuild_projections": {"no_input": True},
    "retry_projection": {"name": "bank.Balances"},
    "prune_idempotency_keys": {},
    "protect_events": {"dry_run": True},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_of_the_operator_say_so_and_show_no_traceback(result, name):
    options = dict(COMMANDS[name])
    names = [options.pop("name")] if "name" in options else []
    table = "rill_django_answer" if name == "prune_idempotency_keys" else CHECKPOINT
    with renamed(EVENT if "events" in name else table), pytest.raises(CommandError) as told:
        call_command(name, *names, stdout=StringIO(), stderr=StringIO(), **options)
    assert "manage.py migrate" in str(told.value)


def test_a_worker_waits_and_goes_on(result, caplog, monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 1e-6)
    worker, stop = ProjectionWorker(["bank.Balances"]), Flag()

    class Stop:
        """Is asked now and then; the table is back after some looks, and the work is done soon after."""

        looks = 0

        def is_set(self):
            return stop.is_set()

        def wait(self, timeout=None):
            self.looks += 1
            if self.looks == 5:
                sql(f"ALTER TABLE elsewhere RENAME TO {CHECKPOINT}")
            if self.looks > 5 and Balance.objects.exists():
                stop.set()
            assert self.looks < 10_000
            return stop.is_set()

    sql(f"ALTER TABLE {CHECKPOINT} RENAME TO elsewhere")
    with caplog.at_level(logging.WARNING, logger="rill_django"):
        worker.run(Stop())
    assert Balance.objects.get().owner == "Ann"
    assert "manage.py migrate" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info is None


@pytest.fixture
def admin(client):
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize(
    ("page", "table", "column"),
    [
        ("admin:rill_django_event_changelist", EVENT, None),
        ("admin:rill_django_event_changelist", EVENT, "metadata"),
        ("admin:rill_django_checkpoint_changelist", CHECKPOINT, None),
        ("admin:rill_django_checkpoint_changelist", CHECKPOINT, "waiting_since"),
        ("admin:rill_django_parkedevent_changelist", "rill_django_parkedevent", "parts"),
    ],
)
def test_pages_of_the_admin_say_so(result, admin, page, table, column):
    with renamed(table, column):
        response = admin.get(reverse(page))
    assert response.status_code == 503
    assert "manage.py migrate" in response.content.decode()
    assert admin.get(reverse(page)).status_code == 200


def test_so_does_the_page_of_a_projection(result, admin):
    page = reverse("admin:rill_django_checkpoint_projection", args=["bank.Balances"])
    with renamed(CHECKPOINT, "seen"):
        response = admin.get(page)
    assert response.status_code == 503
    assert "manage.py migrate" in response.content.decode()


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("get", "/api/events/", None),
        ("get", "/api/streams/bank.Account%2F1/", None),
        ("post", "/api/commands/bank.Account.open/", {"number": "2", "owner": "Ann"}),
    ],
)
def test_the_api_is_out_of_service(no_events, admin, method, path, data):
    response = getattr(admin, method)(path, data, content_type="application/json")
    assert response.status_code == 503
    problem = response.json()
    assert problem["title"] == "The log is not migrated"
    assert "manage.py migrate" in problem["detail"]


def test_the_check_says_which_migrations_are_not_applied(monkeypatch):
    using = connection.alias
    assert check_migrations(None, databases=[using]) == []
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("rill_django", "0009_checkpoints_wait")
    try:
        (warning,) = check_migrations(None, databases=[using])
        assert warning.id == "rill.W011"
        assert "0009_checkpoints_wait" in warning.msg
        assert warning.hint == "Run: manage.py migrate"
        assert check_migrations(None, databases=None) == []
        monkeypatch.setattr("sys.argv", ["manage.py", "migrate"])
        assert check_migrations(None, databases=[using]) == []
    finally:
        recorder.record_applied("rill_django", "0009_checkpoints_wait")


def test_a_log_in_another_database_is_named():
    assert "Run: manage.py migrate --database log" in str(NotMigrated("log", "no such table"))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM nowhere",
        "SELECT nonesuch FROM bank_balance",
        "SELECT * FROM rill_django_event WHERE",
    ],
)
def test_other_mistakes_in_statements_are_other_matters(statement):
    with pytest.raises(DatabaseError) as told:
        sql(statement)
    assert not isinstance(told.value, NotMigrated)
    assert not_migrated(told.value, statement, "default") is None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT e.nonesuch FROM rill_django_event e",
        "INSERT INTO rill_django_checkpoint (nonesuch) VALUES (1)",
        "UPDATE rill_django_checkpoint SET nonesuch = 1",
        "SELECT * FROM rill_django_nonesuch",
    ],
)
def test_columns_that_are_named_by_themselves_are_told_by_their_statement(statement):
    with pytest.raises(NotMigrated):
        sql(statement)
