"""Events that are committed and have no position yet."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from django.db import connection, connections, transaction

from rill_django.store import dialect, sequencer
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Waiting
from rill_django.testing.contracts import new_events
from tests.sequencers import held_sequencer

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = "contract.Thing/1"


def test_an_empty_log_has_none():
    assert DjangoEventStore().waiting() == Waiting(0, 0.0)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite")
def test_on_sqlite_none_ever_waits():
    store = DjangoEventStore()
    store.append(STREAM, -1, new_events("a"))
    assert store.waiting() == Waiting(0, 0.0)


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
    assert store.waiting() == Waiting(0, 0.0)


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
            assert pool.submit(others).result() == Waiting(0, 0.0)


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
)
class TestHolder:
    """Who keeps events from their positions is named: not before some time, and not who is just at it."""

    @pytest.fixture(autouse=True)
    def no_pause(self, monkeypatch):
        monkeypatch.setattr(sequencer.time, "sleep", lambda seconds: None)

    def test_who_does_not_go_on_is_named(self, monkeypatch):
        store = DjangoEventStore()
        with held_sequencer():
            store.append(STREAM, -1, new_events("a"))
            assert store.waiting().holder == ""
            monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
            assert re.search(
                r"holds the sequencer's lock .* End it: (KILL |SELECT pg_terminate_backend\()\d+",
                store.waiting().holder,
            )
        assert store.waiting().holder == ""

    def test_who_gives_positions_to_old_events_is_not(self, monkeypatch):
        """Those of an import have times of long ago, and have waited for a moment."""
        store = DjangoEventStore()
        monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
        with held_sequencer() as let_go:
            store.append(STREAM, -1, new_events("a"))

            def go_on(seconds):
                let_go()
                store.sequence()

            monkeypatch.setattr(sequencer.time, "sleep", go_on)
            assert store.waiting().holder == ""

    def test_nobody_holds_it_where_nobody_reads(self, monkeypatch):
        monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.0)
        store = DjangoEventStore()
        store.append(STREAM, -1, new_events("a"))
        assert store.waiting()[::2] == (1, "")


assert connection  # for the conditions of skipif
