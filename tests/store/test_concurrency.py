"""Several connections at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from django.db import connection, connections, transaction

from rill_django import Conflict, Ok, commit
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import ANY, NONE, Append, WrongExpectedVersion
from rill_django.testing.contracts import names_of, new_events
from tests.bank.domain import Account
from tests.patience import HOPE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(number, work):
    """Run ``work(0)``, ``work(1)``, … at once, each on its own connection."""

    def run(index):
        try:
            return work(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def test_of_those_who_append_at_the_same_version_exactly_one_wins():
    barrier = Barrier(8)

    def race(index):
        account = Account("1").opened(f"owner {index}")
        barrier.wait()
        return commit(account)

    results = in_threads(8, race)
    assert sum(isinstance(result, Ok) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert DjangoEventStore().version("bank.Account/1") == 0


def test_commands_that_lose_a_race_are_tried_again():
    Account.open.transact("1", "Ann").unwrap()

    def deposit(index):
        done = 0
        while done < 5:  # A conflict after three tries is an answer, too.
            done += isinstance(Account.deposit.transact("1", 1), Ok)

    in_threads(4, deposit)
    assert Account.get("1").balance == 20


def test_streams_have_no_gaps_and_positions_are_consecutive_after_a_stampede():
    store = DjangoEventStore()

    def append(index):
        for version in range(-1, 29):
            store.append(f"contract.Thing/{index}", version, new_events("x"))
            store.head()

    in_threads(4, append)
    events = list(store.read().stored())
    assert [event.position for event in events] == list(range(1, 121))
    for index in range(4):
        versions = [event.version for event in events if event.stream == f"contract.Thing/{index}"]
        assert versions == list(range(30))


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_an_open_transaction_that_has_appended_delays_nobody():
    """The bug that everyone has had: 1 is in flight while 2 is committed and read."""
    store = DjangoEventStore()
    appended, may_commit = Event(), Event()

    def dawdle():
        try:
            with transaction.atomic():
                store.append("contract.Thing/slow", -1, new_events("slow"))
                appended.set()
                assert may_commit.wait(HOPE_SECONDS)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(dawdle)
        assert appended.wait(HOPE_SECONDS)
        store.append("contract.Thing/quick", -1, new_events("quick"))
        seen = list(store.read().stored())
        assert names_of(seen) == ["quick"]
        may_commit.set()
        slow.result()
    later = list(store.read().after(seen[-1].position).stored())
    assert names_of(later) == ["slow"]
    assert [event.position for event in seen + later] == [1, 2]


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_reading_inside_a_transaction_leaves_the_positions_to_others():
    """Otherwise they would have to wait for its end."""
    store = DjangoEventStore()
    with transaction.atomic():
        store.append("contract.Thing/1", -1, new_events("a"))
        store.head()

        def others(index):
            store.append("contract.Thing/2", -1, new_events("b"))
            return store.head()

        assert in_threads(1, others) == [1]


def test_appends_at_any_version_all_succeed():
    store = DjangoEventStore()
    barrier = Barrier(4)

    def append(index):
        barrier.wait()
        for _ in range(10):
            store.append("contract.Thing/1", ANY, new_events(f"t{index}"))

    in_threads(4, append)
    events = store.load("contract.Thing/1")
    assert [event.version for event in events] == list(range(40))
    assert sorted(names_of(events)) == sorted(f"t{index}" for index in range(4) for _ in range(10))


def test_batches_that_name_the_same_streams_in_another_order_all_succeed():
    store = DjangoEventStore()
    streams = [f"contract.Thing/{number}" for number in range(6)]
    barrier = Barrier(4)

    def append(index):
        barrier.wait()
        for turn in range(15):
            order = streams if (index + turn) % 2 else streams[::-1]
            store.append_all([Append(stream, ANY, new_events("x")) for stream in order])

    in_threads(4, append)
    for stream in streams:
        assert [event.version for event in store.load(stream)] == list(range(60))
    assert store.head() == 360


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_a_transaction_that_cannot_see_the_winner_is_told_so_instead_of_trying_for_ever():
    store = DjangoEventStore()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
                if connection.vendor == "postgresql"
                else "SELECT 1"
            )
        store.version("contract.Thing/1")
        in_threads(1, lambda index: store.append("contract.Thing/1", NONE, new_events("winner")))
        if connection.vendor == "postgresql":
            with pytest.raises(WrongExpectedVersion):
                store.append("contract.Thing/1", ANY, new_events("loser"))
        else:
            store.append("contract.Thing/1", ANY, new_events("second"))


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL's snapshots")
def test_positions_are_given_under_read_committed_whatever_the_project_uses():
    """Under REPEATABLE READ the last position might be an old one."""
    from psycopg import IsolationLevel

    options = dict(connection.settings_dict["OPTIONS"])
    connection.close()
    connection.settings_dict["OPTIONS"] = {
        **options,
        "isolation_level": IsolationLevel.REPEATABLE_READ,
    }
    try:
        store = DjangoEventStore()
        store.append("contract.Thing/1", NONE, new_events("a"))
        statements = []
        with connection.execute_wrapper(
            lambda execute, sql, params, many, context: (
                statements.append(sql.strip()) or execute(sql, params, many, context)
            )
        ):
            store.sequence()
        takes_lock = next(i for i, said in enumerate(statements) if "pg_try_advisory" in said)
        assert statements[takes_lock - 1] == "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
        assert store.head() == 1
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = options


assert connection  # for the conditions of skipif
