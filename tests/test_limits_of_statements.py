"""What is asked for, or written, in numbers beyond what one statement can hold."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rill_django import get_all
from rill_django.domain.records import NewEvent
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.repository import Repository
from rill_django.store import dialect, mysql
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import ANY, Append
from rill_django.store.query_log import without_query_log
from rill_django.testing.contracts import new_events
from tests.bank.domain import Account
from tests.bank.models import Balance
from tests.bank.projections import Balances

MANY = 70_000
"""More than the 65,535 values of a statement that PostgreSQL prepares, and SQLite's 32,766."""


@pytest.mark.django_db
def test_get_all_takes_any_number_of_aggregates():
    Account.open.transact("1", "Ann").unwrap()
    Account.open.transact(str(MANY - 1), "Bob").unwrap()
    accounts = get_all([Account(str(number)) for number in range(MANY)])
    assert len(accounts) == MANY
    assert [one.number for one in accounts if one.exists] == ["1", str(MANY - 1)]


@pytest.mark.django_db
def test_the_versions_of_any_number_of_streams_are_known():
    store = DjangoEventStore()
    store.append("contract.Thing/5", -1, new_events("a"))
    streams = [f"contract.Thing/{number}" for number in range(MANY)]
    assert store.versions(streams) == {"contract.Thing/5": 0}
    assert store.versions([]) == {}
    assert list(store.load_all(streams)) == ["contract.Thing/5"]


@pytest.mark.django_db
def test_a_stream_that_is_asked_for_twice_comes_once(monkeypatch):
    monkeypatch.setattr(dialect, "STREAMS_PER_STATEMENT", 2)
    store = DjangoEventStore()
    for number in range(3):
        store.append(f"contract.Thing/{number}", -1, new_events("a", "b"))
    streams = [f"contract.Thing/{number}" for number in (0, 1, 2, 0)]
    assert {stream: len(some) for stream, some in store.load_all(streams).items()} == {
        f"contract.Thing/{number}": 2 for number in range(3)
    }


@pytest.mark.django_db
def test_any_number_of_streams_can_be_appended_to(monkeypatch):
    monkeypatch.setattr(mysql, "STATEMENT_CHARACTERS", 20_000)
    store = DjangoEventStore()
    number = 12_000
    appends = [Append(f"contract.Thing/{one}", ANY, new_events("a")) for one in range(number)]
    assert len(store.append_all(appends)) == number
    assert store.head() == number


@pytest.mark.django_db
def test_large_events_can_be_appended_together():
    """More than a packet of MariaDB's holds by default."""
    text = b'"%s"' % (b"x" * 900_000)
    events = [NewEvent("contract.happened", b'{"name": %s}' % text) for _ in range(20)]
    store = DjangoEventStore()
    store.append("contract.Thing/1", -1, events)
    assert store.version("contract.Thing/1") == 19
    assert store.head() == 20


class TestUnderDebug:
    @pytest.fixture(autouse=True)
    def debug(self, settings, db):
        settings.DEBUG = True
        connection.queries_log.clear()

    def test_long_work_leaves_the_log_of_statements_as_it_is(self):
        repository = Repository(DjangoEventStore())
        for number in range(3):
            repository.commit(Account(str(number)).opened("Ann"))
        before = list(connection.queries_log)
        assert before
        for work in (
            lambda: catch_up(Balances.name),
            lambda: rebuild(Balances(), in_place=True),
        ):
            work()
            assert list(connection.queries_log) == before
        assert Balance.objects.count() == 3
        assert len(connection.queries_log) == len(before) + 1

    def test_what_is_captured_on_purpose_is_captured(self):
        with CaptureQueriesContext(connection) as captured:
            with without_query_log():
                DjangoEventStore().version("contract.Thing/1")
            assert len(captured) == 1
