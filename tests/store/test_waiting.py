"""Events that are committed and have no position yet."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from django.db import connection, connections, transaction

from rill_django.store import dialect
from rill_django.store.orm import DjangoEventStore
from rill_django.testing.contracts import new_events
from tests.sequencers import held_sequencer

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = "contract.Thing/1"


def test_an_empty_log_has_none():
    assert DjangoEventStore().waiting() == (0, 0.0)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite")
def test_on_sqlite_none_ever_waits():
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    assert store.waiting() == (0, 0.0)


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
)
def test_they_are_counted_and_the_oldest_has_an_age(monkeypatch):
    store = DjangoEventStore()
    with held_sequencer() as let_go:
        before = datetime.now(timezone.utc)
        store.append(STREAM, -1, new_events("a", "b"))
        store.append(STREAM, 1, new_events("c"))
        assert store.sequence() == 0
        first = store.waiting()
        assert first.number == 3
        assert first.oldest_seconds > 0
        second = store.waiting()
        assert first.oldest_seconds < second.oldest_seconds
        assert second.oldest_seconds <= (datetime.now(timezone.utc) - before).total_seconds() + 0.01
        monkeypatch.setattr(dialect, "WAITING_COUNTED_AT_MOST", 2)
        assert store.waiting().number == 2
        let_go()
    assert store.head() == 3
    assert store.waiting() == (0, 0.0)


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_what_is_not_committed_does_not_count():
    store = DjangoEventStore()

    def others():
        try:
            return store.waiting()
        finally:
            connections.close_all()

    with transaction.atomic():
        store.append(STREAM, -1, new_events("a"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(others).result() == (0, 0.0)


assert connection  # for the conditions of skipif
