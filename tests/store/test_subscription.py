"""The live tail of the log."""

from threading import Thread

import pytest
from django.db import connection, connections

from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from rill_django.store.subscription import CaughtUp
from rill_django.testing.contracts import new_events
from tests.patience import HOPE_SECONDS, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def store(request):
    return request.param()


def said(item):
    return item if isinstance(item, CaughtUp) else item.message.data["name"]


def test_it_gives_what_there_is_says_that_it_is_caught_up_and_goes_on(store):
    store.append("contract.Thing/1", -1, new_events("a", "b"))
    subscription = iter(store.subscribe())
    assert [said(next(subscription)) for _ in range(3)] == ["a", "b", CaughtUp(2)]
    store.append("contract.Thing/1", 1, new_events("c"))
    assert [said(next(subscription)) for _ in range(2)] == ["c", CaughtUp(3)]


def test_an_empty_log_is_caught_up_at_once(store):
    assert next(iter(store.subscribe())) == CaughtUp(0)


def test_it_can_go_on_behind_a_position_and_be_narrowed(store):
    store.append("contract.Thing/1", -1, new_events("a", "b"))
    store.append("other.Thing/1", -1, new_events("c", "d"))
    subscription = store.read().after(1).category("contract.Thing").subscribe()
    items = iter(subscription)
    assert [said(next(items)) for _ in range(2)] == ["b", CaughtUp(4)]
    assert subscription.position == 4


def test_pages_are_complete(store):
    names = [f"n{number}" for number in range(2_500)]
    store.append("contract.Thing/1", -1, new_events(*names))
    items = iter(store.subscribe())
    assert [said(next(items)) for _ in range(2_501)] == [*names, CaughtUp(2_500)]


def test_it_stops_at_once_when_asked():
    subscription = MemoryEventStore().read().subscribe(poll_interval=100_000)
    items = []
    thread = Thread(daemon=True, target=lambda: items.extend(subscription))
    thread.start()
    wait_until(lambda: items)
    subscription.stop()
    thread.join(HOPE_SECONDS)
    assert not thread.is_alive()
    assert items == [CaughtUp(0)]


def test_stopping_between_events_gives_no_more(store):
    store.append("contract.Thing/1", -1, new_events("a", "b", "c"))
    subscription = store.subscribe()
    seen = []
    for item in subscription:
        seen.append(said(item))
        subscription.stop()
    assert seen == ["a"]


@pytest.mark.parametrize("narrow", ["backwards", "stream"])
def test_only_the_log_onwards_can_be_subscribed_to(store, narrow):
    reader = store.read()
    reader = reader.backwards() if narrow == "backwards" else reader.stream("contract.Thing/1")
    with pytest.raises(ValueError, match="follows the log onwards"):
        reader.subscribe()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no connection to lose")
def test_a_dropped_connection_is_made_anew_and_nothing_is_lost_or_repeated(monkeypatch):
    monkeypatch.setattr("rill_django.store.subscription.FIRST_PAUSE_SECONDS", 0.01)
    store = DjangoEventStore()
    store.append("contract.Thing/1", -1, new_events("a"))
    items = iter(store.subscribe())
    assert [said(next(items)) for _ in range(2)] == ["a", CaughtUp(1)]
    store.append("contract.Thing/1", 0, new_events("b", "c"))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_backend_pid()")
            end = "SELECT pg_terminate_backend(%s)"
        else:
            cursor.execute("SELECT CONNECTION_ID()")
            end = "KILL %s"
        (number,) = cursor.fetchone()

    def cut():
        with connection.cursor() as cursor:
            cursor.execute(end, (number,))
        connections.close_all()

    other = Thread(daemon=True, target=cut)
    other.start()
    other.join()
    assert [said(next(items)) for _ in range(3)] == ["b", "c", CaughtUp(3)]
