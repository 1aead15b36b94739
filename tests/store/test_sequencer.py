"""All that is committed has a position when it is said to, whoever else is giving positions."""

import pickle
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import OperationalError, connection, connections, transaction

from rill_django.store import mysql_lock, postgresql, sequencer
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import SequencerHeld
from rill_django.testing.contracts import new_events
from tests.patience import HOPE_SECONDS
from tests.sequencers import held_sequencer, let_go_when_waited_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
    ),
]

STREAM = "contract.Thing/1"


def test_head_waits_for_somebody_else(monkeypatch):
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a", "b"))
    with let_go_when_waited_for(monkeypatch) as waits:
        assert store.head() == 2
        assert len(waits) == 3
    assert store.waiting().number == 0


def test_who_looks_again_soon_waits_for_nobody():
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    with held_sequencer():
        assert store.sequence() == 0
        assert list(store.read().stored()) == []
    assert store.sequence() == 1


def test_what_is_appended_meanwhile_is_not_waited_for(monkeypatch):
    """The others may go on and on."""
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    tries = iter([sequencer.Pass.BUSY, sequencer.Pass.DONE, sequencer.Pass.BUSY])
    dialect = type(store._sequencer()._dialect)
    give = dialect.sequence

    def by_another(self, connection, floor):
        """The second time somebody else does it, and then there is more again."""
        if next(tries) is sequencer.Pass.DONE:
            give(self, connection, floor)
            store.append(STREAM, 0, new_events("b"))
        return sequencer.Pass.BUSY

    monkeypatch.setattr(dialect, "sequence", by_another)
    assert store.head() == 1


def test_who_does_not_go_on_is_named(monkeypatch):
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
    with held_sequencer(), pytest.raises(SequencerHeld) as caught:
        store.head()
    end = "pg_terminate_backend" if connection.vendor == "postgresql" else "KILL"
    assert end in str(caught.value)
    assert "does not go on" in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert store.head() == 1


def test_inside_a_transaction_nothing_is_waited_for():
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    with held_sequencer(), transaction.atomic():
        assert store.head() == 0
        assert store.sequence() == 0
    assert store.head() == 1


def limits():
    names = {
        "postgresql": "SELECT current_setting('statement_timeout'), "
        "current_setting('idle_in_transaction_session_timeout')",
        "mysql": "SELECT @@SESSION.wait_timeout, @@SESSION.innodb_lock_wait_timeout",
    }
    with connection.cursor() as cursor:
        cursor.execute(names[connection.vendor])
        return cursor.fetchone()


def test_its_limits_are_its_own():
    """A pooler gives the connection to somebody else."""
    before = limits()
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    assert store.head() == 1
    with held_sequencer():
        store.append(STREAM, 0, new_events("b"))
        assert store.sequence() == 1
        assert limits() == before
    assert limits() == before


def test_one_who_does_not_go_on_is_ended_by_the_database(monkeypatch):
    """A process that is frozen, or a host that has gone, in the midst of giving positions."""
    module = postgresql if connection.vendor == "postgresql" else mysql_lock
    monkeypatch.setattr(module, "IDLE_SECONDS", 1)
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    is_frozen, is_over = Signal(), Signal()
    said = []

    def freeze(execute, sql, params, many, context):
        if "INSERT INTO rill_django_position" in sql:
            is_frozen.set()
            is_over.wait(HOPE_SECONDS)
        return execute(sql, params, many, context)

    def give():
        try:
            with connection.execute_wrapper(freeze):
                store.sequence()
        except OperationalError as error:
            said.append(error)
        finally:
            connections.close_all()

    frozen = Thread(daemon=True, target=give)
    frozen.start()
    try:
        assert is_frozen.wait(HOPE_SECONDS)
        assert store.sequence() == 0
        assert store.head() == 1
    finally:
        is_over.set()
        frozen.join(HOPE_SECONDS)
    assert len(said) == 1
    store.append(STREAM, 0, new_events("b"))
    assert [event.position for event in store.read().stored()] == [1, 2]


def test_pages_of_what_has_its_position_need_no_look(django_assert_num_queries):
    store = DjangoEventStore()
    for number in range(3):
        store.append(f"contract.Thing/{number}", -1, new_events("a", "b"))
    head = store.head()
    store.append(STREAM, 1, new_events("c"))
    with django_assert_num_queries(3):
        assert len(list(store.read().up_to(head).stored())) == 6
        assert len(list(store.read().limit(3).stored())) == 3
        assert len(list(store.read().of_type("contract.happened").up_to(head).stored())) in (0, 6)
    assert len(list(store.read().after(head).stored())) == 1
