"""Looks at the queue do not begin at its beginning, and still find whatever is committed late."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event as Signal

import msgspec
import pytest
from django.db import connection, connections, transaction

from rill_django.models import Event
from rill_django.store import floor, mysql, mysql_floor, postgresql, postgresql_floor
from rill_django.store.dialect import EVENTS, POSITIONS, UNSEQUENCED
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.testing.contracts import names_of, new_events
from tests.patience import HOPE_SECONDS, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no queue"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What takes seconds in production is done at once, and nothing is remembered from before."""
    monkeypatch.setattr(floor, "_floors", {})
    monkeypatch.setattr(floor, "WHOLE_LOOK_SECONDS", 3600.0)
    for module in (postgresql_floor, mysql_floor):
        monkeypatch.setattr(module, "WORTH_RAISING", 1)
        monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    for name in ("HELD_AFTER_SECONDS", "LEARN_EVERY_SECONDS"):
        monkeypatch.setattr(postgresql_floor, name, 0.0)


def known_floor(which="high"):
    """Return the id that looks begin behind; the ``low`` one whoever ends meanwhile."""
    found = floor.floor_of(connection, dialect_of(connection))
    if connection.vendor == "mysql":
        return found.known().id
    return found.parameters()[which]


def look_until_raised(store, *, to, which="high"):
    """Look as a worker does, until its looks begin behind an id."""

    def is_raised():
        store.sequence()
        return known_floor(which) >= to

    wait_until(is_raised, lambda: f"still at {known_floor(which)}")


def append(store, number, *names):
    return store.append(f"contract.Thing/{number}", -1, new_events(*names))


def last_id():
    return Event.objects.order_by("-id").values_list("id", flat=True)[0]


@contextmanager
def dawdling(store):
    """Somebody appends ``slow`` and does not commit; yields a function that makes him do so."""
    appended, may_commit = Signal(), Signal()

    def dawdle():
        try:
            with transaction.atomic():
                append(store, "slow", "slow")
                appended.set()
                assert may_commit.wait(HOPE_SECONDS)
        finally:
            appended.set()
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(dawdle)

        def commit():
            may_commit.set()
            slow.result()

        try:
            assert appended.wait(HOPE_SECONDS)
            yield commit
        finally:
            may_commit.set()


def test_it_rises_with_the_log():
    store = DjangoEventStore()
    for number in range(3):
        append(store, number, "a", "b")
        look_until_raised(store, to=last_id())
    assert [event.position for event in store.read().stored()] == list(range(1, 7))


def test_what_is_committed_late_is_found_at_once_and_comes_before_what_follows_from_it():
    store = DjangoEventStore()
    with dawdling(store) as commit:
        append(store, 1, "a")
        append(store, 2, "b")
        look_until_raised(store, to=last_id())
        commit()
        append(store, 3, "follows")
        assert names_of(store.read().stored()) == ["a", "b", "slow", "follows"]
    append(store, 4, "c")
    look_until_raised(store, to=last_id())
    assert store.head() == 5
    assert store.waiting().number == 0


def test_what_is_rolled_back_holds_nothing_up():
    store = DjangoEventStore()
    for number in range(3):
        with transaction.atomic():
            append(store, "never", "x")
            transaction.set_rollback(True)
        append(store, number, "a")
        look_until_raised(store, to=last_id())
    assert store.head() == 3


def test_a_look_from_the_beginning_comes_now_and_then(monkeypatch):
    """For what was put into the queue in a way that nobody has thought of."""
    store = DjangoEventStore()
    append(store, 1, "a")
    append(store, 2, "b")
    # Transactions of others on this server may end meanwhile, and then the low one holds.
    look_until_raised(store, to=last_id(), which="low")
    with dialect_of(connection).guards.down(connection), connection.cursor() as cursor:
        first = Event.objects.order_by("id").values_list("id", flat=True)[0]
        cursor.execute(f"DELETE FROM {POSITIONS} WHERE event_id = %s", (first,))
        cursor.execute(f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (%s)", (first,))
    assert store.head() == 2
    monkeypatch.setattr(floor, "WHOLE_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(floor, "_floors", {})
    assert store.head() == 3


def test_a_log_that_was_replaced_is_looked_at_anew():
    """Emptied and filled again, from a backup for example: ids begin anew."""
    store = DjangoEventStore()
    for number in range(20):
        append(store, number, "a", "b")
    look_until_raised(store, to=last_id())
    with dialect_of(connection).guards.down(connection), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {EVENTS}, {POSITIONS}, {UNSEQUENCED} RESTART IDENTITY")
        else:
            for table in (EVENTS, POSITIONS, UNSEQUENCED):
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute(f"ALTER TABLE {EVENTS} AUTO_INCREMENT = 1")
    append(store, "new", "a")
    assert store.head() == 1
    append(store, "newer", "b")
    assert store.head() == 2
    assert last_id() == 2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about schemas")
def test_each_schema_has_a_log_of_its_own():
    store = DjangoEventStore()
    for number in range(20):
        append(store, number, "a")
    look_until_raised(store, to=last_id())
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA tenant")
        try:
            for table in (EVENTS, POSITIONS, UNSEQUENCED):
                cursor.execute(f"CREATE TABLE tenant.{table} (LIKE {table} INCLUDING ALL)")
            cursor.execute("SET search_path = tenant, public")
            append(store, "tenant's", "a", "b")
            assert store.head() == 2
        finally:
            cursor.execute("RESET search_path")
            cursor.execute("DROP SCHEMA tenant CASCADE")
    append(store, "public", "a")
    assert store.head() == 21


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL says what it reads")
def test_an_old_snapshot_makes_looks_no_longer():
    def blocks():
        cursor.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {postgresql._LOOK}", one.parameters()
        )
        plan = cursor.fetchone()[0]
        (found,) = msgspec.json.decode(plan) if isinstance(plan, str) else plan
        return found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]

    store = DjangoEventStore()
    old = connection.copy()
    one = floor.floor_of(connection, dialect_of(connection))
    try:
        old.set_autocommit(False)
        with old.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 1 FROM rill_django_event")
        with connection.cursor() as cursor:
            counts = []
            for number in range(3):
                append(store, number, *(["x"] * 4_000))
                store.append(f"contract.Thing/{number}", 3_999, new_events("y"))
                # Transactions of other databases on this server are under way, too.
                look_until_raised(store, to=last_id(), which="low")
                counts.append(blocks())
            one = postgresql_floor.PostgreSQLFloor()
            assert max(counts) * 3 < blocks(), counts
    finally:
        old.close()


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="about MySQL")
def test_an_append_that_comes_into_the_queue_too_late_begins_anew(monkeypatch):
    """For example, since its process was frozen after it had got its ids."""
    store = DjangoEventStore()
    monkeypatch.setattr(mysql, "QUEUE_SECONDS", -1)
    tries = []

    def thaw(execute, sql, params, many, context):
        if f"INSERT INTO {UNSEQUENCED}" in sql:
            tries.append(sql)
            monkeypatch.setattr(mysql, "QUEUE_SECONDS", 8)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(thaw):
        append(store, 1, "a")
        monkeypatch.setattr(mysql, "QUEUE_SECONDS", -1)
        with transaction.atomic():
            append(store, 2, "b")
            append(store, 3, "c")
    assert len(tries) == 5
    assert names_of(store.read().stored()) == ["a", "b", "c"]
    assert store.version("contract.Thing/1") == 0
