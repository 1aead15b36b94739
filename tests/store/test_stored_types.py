"""The types of a log are noted once, together with the first event, whatever becomes of its transaction."""

from importlib import import_module
from pkgutil import iter_modules
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from rill_django import migrations
from rill_django.domain.records import NewEvent
from rill_django.models import Event, StoredType
from rill_django.store import stored_types as module
from rill_django.store.dialect import Row
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append, WrongExpectedVersion
from rill_django.store.stored_types import StoredTypes, stored_types
from tests.patience import HOPE_SECONDS

THING = "things.Thing"


@pytest.fixture(autouse=True)
def fresh_process():
    stored_types.forget()


def append(stream, *names, at=-1):
    events = [NewEvent(f"{THING}.{name}", b"{}") for name in names]
    return DjangoEventStore().append(f"{THING}/{stream}", at, events)


def noted():
    return sorted(StoredType.objects.values_list("category", "type", "stream", "version"))


def kinds():
    return [type.rpartition(".")[2] for _category, type, _stream, _version in noted()]


class Undo(Exception):
    pass


def undone(work):
    with transaction.atomic():
        work()
        raise Undo


def rolled_back(work):
    with pytest.raises(Undo):
        undone(work)


@pytest.mark.django_db
def test_a_type_is_noted_once_with_its_first_event():
    append(1, "made", "used", "used")
    append(2, "made", "used")
    append(1, "broken", at=2)
    assert noted() == [
        (THING, f"{THING}.broken", f"{THING}/1", 3),
        (THING, f"{THING}.made", f"{THING}/1", 0),
        (THING, f"{THING}.used", f"{THING}/1", 1),
    ]


@pytest.mark.django_db
def test_a_type_is_noted_for_each_kind_of_stream():
    append(1, "made")
    DjangoEventStore().append("things.Other/1", -1, [NewEvent(f"{THING}.made", b"{}")])
    assert [one[0] for one in noted()] == ["things.Other", THING]


@pytest.mark.django_db
def test_many_streams_at_once():
    appends = [
        Append(f"things.T{number % 3}/{number}", -1, [NewEvent(f"t{number % 2}", b"{}")])
        for number in range(12)
    ]
    DjangoEventStore().append_all(appends)
    assert len(noted()) == 6


@pytest.mark.django_db
def test_an_append_that_loses_its_race_notes_nothing():
    append(1, "made")
    with pytest.raises(WrongExpectedVersion):
        append(1, "used")
    assert kinds() == ["made"]


@pytest.mark.django_db(transaction=True)
class TestRollbacks:
    def test_of_the_whole_transaction(self):
        rolled_back(lambda: append(1, "made"))
        assert kinds() == []
        append(1, "made")
        assert kinds() == ["made"]

    def test_of_a_savepoint(self):
        with transaction.atomic():
            rolled_back(lambda: append(1, "made"))
            assert kinds() == []
            append(1, "made")
            append(1, "made", at=0)
        assert kinds() == ["made"]

    def test_of_a_savepoint_behind_the_first_event(self):
        with transaction.atomic():
            append(1, "made")
            rolled_back(lambda: append(2, "made"))
            append(3, "made")
        assert kinds() == ["made"]

    def test_of_a_savepoint_within_a_savepoint(self):
        def work():
            with transaction.atomic():
                append(1, "made")
            append(1, "made", at=0)

        with transaction.atomic():
            rolled_back(work)
            append(2, "made")
        assert kinds() == ["made"]

    def test_of_the_second_call_of_one_decorated_function(self):
        @transaction.atomic
        def work(fails):
            append(1, "made")
            if fails:
                raise Undo

        for _ in range(2):
            with pytest.raises(Undo):
                work(True)
        work(False)
        assert kinds() == ["made"]

    def test_of_what_comes_within_the_append(self):
        def within(stored):
            raise Undo

        event = [NewEvent(f"{THING}.made", b"{}")]
        with pytest.raises(Undo):
            DjangoEventStore().append_all([Append(f"{THING}/1", -1, event)], within=within)
        append(1, "made")
        assert kinds() == ["made"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_inside", [False, True])
def test_nothing_is_asked_or_written_for_a_type_that_is_known(is_inside, django_assert_num_queries):
    append(1, "made")
    expected = {"sqlite": (4, 4), "postgresql": (1, 3), "mysql": (6, 6)}[connection.vendor]
    if is_inside:
        with transaction.atomic(), django_assert_num_queries(expected[1]):
            append(2, "made")
    else:
        with django_assert_num_queries(expected[0]):
            append(2, "made")


@pytest.mark.django_db(transaction=True)
def test_an_open_transaction_asks_once(django_assert_num_queries):
    expected = {"sqlite": 4, "postgresql": 3, "mysql": 6}[connection.vendor]
    with transaction.atomic():
        append(1, "made")
        with django_assert_num_queries(expected):
            append(2, "made")


@pytest.mark.django_db(transaction=True)
def test_after_a_flush_it_is_noted_anew():
    append(1, "made")
    call_command("flush", interactive=False, verbosity=0)
    assert kinds() == []
    append(1, "made")
    assert kinds() == ["made"]


@pytest.mark.django_db(transaction=True)
def test_another_process_has_emptied_the_tables(monkeypatch):
    append(1, "made")
    StoredType.objects.all().delete()
    monkeypatch.setattr(module, "REMEMBERED_SECONDS", -1.0)
    append(2, "made")
    assert kinds() == ["made"]


@pytest.mark.django_db
def test_callbacks_that_a_test_runs_before_its_rollback_are_not_trusted(
    django_capture_on_commit_callbacks,
):
    def work():
        with django_capture_on_commit_callbacks(execute=True):
            append(1, "made")

    rolled_back(work)
    append(1, "made")
    assert kinds() == ["made"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_two_that_are_first_at_once_do_not_wait_for_each_other():
    """With a unique constraint, the second one would stand until the first commits, and never return."""
    both_have_appended = Barrier(2, timeout=HOPE_SECONDS)

    def work(number):
        try:
            with transaction.atomic():
                # A name that was never there: MySQL locks the gaps round rows that a flush has deleted.
                append(f"{number}-{uuid4().hex}", "made", "used")
                both_have_appended.wait()
        finally:
            connections.close_all()

    threads = [Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both_have_appended.broken
    assert Event.objects.count() == 4
    assert set(kinds()) == {"made", "used"}


@pytest.mark.django_db(transaction=True)
def test_the_migration_finds_the_types_of_a_log_that_is_there():
    append(1, "made", "used")
    append(2, "made")
    before = noted()
    StoredType.objects.all().delete()
    (name,) = (one.name for one in iter_modules(migrations.__path__) if "stored_types" in one.name)
    migration = import_module(f"{migrations.__name__}.{name}")
    with connection.schema_editor(atomic=False) as editor:
        migration.fill(apps, editor)
    assert noted() == before


@pytest.mark.django_db(transaction=True)
def test_before_its_table_is_made_nothing_is_noted():
    """A data migration may depend on an earlier one of ours, and send commands."""
    row = Row("bank.Account/1", 0, "bank.Account.opened", "{}", "{}", None)
    types, connection = StoredTypes(), connections[DEFAULT_DB_ALIAS]
    with connection.schema_editor() as editor:
        editor.delete_model(StoredType)
    try:
        types.note(connection, {("bank.Account", "bank.Account.opened"): row})
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(StoredType)
    types.note(connection, {("bank.Account", "bank.Account.opened"): row})
    assert StoredType.objects.get().type == "bank.Account.opened"
