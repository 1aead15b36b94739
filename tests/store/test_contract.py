"""The stores that come with the library fulfil the contract."""

from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from rill_django.testing.contracts import EventStoreContract, names_of, new_events


@contextmanager
def rolled_back():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryEventStore()


@pytest.mark.django_db(transaction=True)
class TestDjangoEventStore(EventStoreContract):
    """As in production: every append is a transaction of its own."""

    @pytest.fixture
    def store(self):
        return DjangoEventStore()


@pytest.mark.django_db
class TestDjangoEventStoreInATestCase:
    """Inside the transaction that Django's TestCase wraps round a test, all works the same."""

    def test_events_get_positions(self):
        store = DjangoEventStore()
        store.append("contract.Thing/1", -1, new_events("a", "b"))
        assert names_of(list(store.read().stored())) == ["a", "b"]
        assert store.head() == 2


@pytest.mark.django_db(transaction=True)
class TestInsideTheCallersTransaction:
    @pytest.fixture
    def store(self):
        return DjangoEventStore()

    def test_a_lost_race_leaves_the_transaction_usable(self, store):
        store.append("contract.Thing/1", -1, new_events("a"))
        with transaction.atomic():
            store.append("contract.Thing/2", -1, new_events("b"))
            with pytest.raises(Exception, match="is at version 0, not -1"):
                store.append("contract.Thing/1", -1, new_events("x"))
            store.append("contract.Thing/2", 0, new_events("c"))
        assert names_of(store.load("contract.Thing/1")) == ["a"]
        assert names_of(store.load("contract.Thing/2")) == ["b", "c"]

    def test_a_rollback_takes_the_events_with_it(self, store):
        with rolled_back():
            store.append("contract.Thing/1", -1, new_events("a"))
        assert store.version("contract.Thing/1") == -1
        assert store.head() == 0
        store.append("contract.Thing/2", -1, new_events("b"))
        assert [event.position for event in store.read().stored()] == [1]

    def test_callbacks_come_after_commit_or_not_at_all(self, store):
        called = []
        with transaction.atomic():
            store.after_commit(lambda: called.append("committed"))
            assert called == []
        assert called == ["committed"]
        with rolled_back():
            store.after_commit(lambda: called.append("rolled back"))
        assert called == ["committed"]

    @pytest.mark.skipif(
        "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
    )
    def test_what_is_not_committed_has_no_position(self, store):
        with transaction.atomic():
            store.append("contract.Thing/1", -1, new_events("a"))
            assert store.head() == 0
            assert list(store.read().stored()) == []
        assert store.head() == 1

    def test_one_statement_appends_any_number_of_events(self, store, django_assert_num_queries):
        store.append(
            "contract.Thing/0", -1, new_events(*"abcdefghij")
        )  # Their types are noted once.
        expected = {"sqlite": 4, "postgresql": 1, "mysql": 6}[connection.vendor]
        with django_assert_num_queries(expected):
            store.append("contract.Thing/1", -1, new_events(*"abcdefghij"))
