"""The database itself refuses to change or delete events, also to raw SQL."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from rill_django.models import Event
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.testing.contracts import names_of, new_events

pytestmark = pytest.mark.django_db


@pytest.fixture
def store():
    store = DjangoEventStore()
    store.append("contract.Thing/1", -1, new_events("a", "b"))
    return store


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rill_django_event SET data = '{}'",
        "UPDATE rill_django_event SET version = 7 WHERE version = 1",
        "DELETE FROM rill_django_event",
        "DELETE FROM rill_django_event WHERE version = 1",
        pytest.param(
            "TRUNCATE rill_django_event",
            marks=pytest.mark.skipif(
                "connection.vendor != 'postgresql'", reason="has no trigger on TRUNCATE"
            ),
        ),
    ],
)
def test_raw_sql_is_refused_with_a_clear_error(store, statement):
    with (
        pytest.raises(DatabaseError, match="events are facts, they are never changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert names_of(store.load("contract.Thing/1")) == ["a", "b"]


def test_the_orms_way_round_the_model_is_refused_too(store):
    with pytest.raises(DatabaseError, match="events are facts"), transaction.atomic():
        Event._base_manager.all()._raw_delete(using="default")
    assert Event.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_flushing_empties_the_log_and_protects_it_again(store):
    call_command("flush", interactive=False, verbosity=0)
    assert Event.objects.count() == 0
    store.append("contract.Thing/1", -1, new_events("c"))
    with pytest.raises(DatabaseError, match="events are facts"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM rill_django_event")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about a setting of PostgreSQL")
def test_what_lets_events_be_emptied_is_the_transactions_own(store):
    """A pooler in transaction mode gives the session to others after each one."""
    outside = []

    def look(execute, sql, params, many, context):
        if not connection.in_atomic_block and ("flushing" in sql or "TRUNCATE" in sql):
            outside.append(sql)
        return execute(sql, params, many, context)

    def is_on():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('rill_django.flushing', true)")
            return cursor.fetchone()[0] == "on"

    with connection.execute_wrapper(look):
        call_command("flush", interactive=False, verbosity=0)
    assert (outside, is_on(), Event.objects.count()) == ([], False, 0)
    unprotected = dialect_of(connection).unprotected
    with pytest.raises(DatabaseError), unprotected(connection), connection.cursor() as cursor:
        cursor.execute("SELECT 1 / (current_setting('rill_django.flushing') <> 'on')::int")
    assert not is_on()
    with transaction.atomic():
        with unprotected(connection):
            assert is_on()
        assert not is_on()


@pytest.mark.django_db(transaction=True)
def test_the_migration_can_be_taken_back(store):
    call_command("migrate", "rill_django", "0001", verbosity=0)
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE rill_django_event SET type = 'x' WHERE version = 0")
    finally:
        call_command("migrate", "rill_django", verbosity=0)
    with pytest.raises(DatabaseError, match="events are facts"), connection.cursor() as cursor:
        cursor.execute("UPDATE rill_django_event SET type = 'y' WHERE version = 0")


assert connection  # for the conditions of skipif
