"""The search of the log: what it finds, and that it never reads the whole log."""

import json
from datetime import datetime, timezone

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rill_django.domain.records import NewEvent
from rill_django.models import ParkedEvent
from rill_django.store import finding
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db

EVENTS = reverse("admin:rill_django_event_changelist")
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def append(streams, number=1, type="bank.Account.opened"):
    """Append so many events to each stream."""
    events = [NewEvent(type, b'{"number":"x"}', b"{}", AT)] * number
    DjangoEventStore().append_all([Append(stream, -1, events) for stream in streams])


@pytest.fixture
def find(admin_client):
    def find(term, **query):
        response = admin_client.get(EVENTS, {"q": term, **query})
        assert response.status_code == 200
        return [str(event) for event in response.context["cl"].result_list]

    return find


KEYS = ("1", "12", "Zoë", "a/b", "50%", "%41", "Ann Smith", "x@7", "東京", "a b+c", "ë" * 40)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_found_as_people_write_it(find, key):
    for one in KEYS:
        Account.open.transact(one, "Ann").unwrap()
    stream = Account(key).stream
    assert f"{stream}@0" in find(key)
    assert f"{stream}@0" in find(f"bank.Account/{key}")
    assert f"{stream}@0" in find(stream)
    assert find(f"{key}@0") == find(f"bank.Account/{key}@0") == [f"{stream}@0"]
    assert f"{stream}@0" in find(key.upper()) + find(key)


def test_keys_of_types_that_no_code_knows_are_found_too(find):
    append(["old.Thing/Zo%C3%AB", "old.Pair/a/Zo%C3%AB", "old.Pair/Zo%C3%AB/b"])
    assert find("zoë") == ["old.Pair/Zo%C3%AB/b@0", "old.Thing/Zo%C3%AB@0"]
    assert find("a/Zoë") == ["old.Pair/a/Zo%C3%AB@0"]


def test_the_latest_events_of_a_long_stream_are_found(find, monkeypatch):
    monkeypatch.setattr(finding, "MOST_FOUND", 20)
    append(["bank.Account/1"], 60)
    append([f"bank.Account/1{number:03}" for number in range(60)])
    assert find("bank.Account/1@59") == ["bank.Account/1@59"]
    monkeypatch.setattr(finding, "LATEST", 5)
    assert "bank.Account/1@59" in find("1")
    assert "bank.Account/1000@0" in find("1")
    assert "bank.Account/1059@0" in find("1")


def test_a_search_that_finds_a_lot_says_so(find, admin_client, monkeypatch):
    append([f"bank.Account/{number:03}" for number in range(60)])
    monkeypatch.setattr(finding, "MOST_FOUND", 70)
    response = admin_client.get(EVENTS, {"q": "bank."})
    assert not list(get_messages(response.wsgi_request))
    assert response.context["cl"].result_count == 60
    monkeypatch.setattr(finding, "MOST_FOUND", 20)
    monkeypatch.setattr(finding, "LATEST", 30)
    response = admin_client.get(EVENTS, {"q": "bank."})
    assert "Many events match" in response.content.decode()
    found = {str(one) for one in response.context["cl"].queryset}
    assert {f"bank.Account/{number:03}@0" for number in (*range(20), *range(40, 60))} <= found


def test_a_search_is_narrowed_by_filters(find):
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5).unwrap()
    assert find("1", type="bank.Account.deposited") == ["bank.Account/1@1"]


def test_of_one_stream_the_latest_version_comes_first(admin_client):
    append(["bank.Account/1"], 5)
    response = admin_client.get(EVENTS, {"stream__exact": "bank.Account/1"})
    versions = [event.version for event in response.context["cl"].result_list]
    assert versions == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("term", ["Zoë", "zoë", "Zo%C3%AB", "bank.Account/Zo"])
def test_parked_events_are_found_in_the_same_letters(admin_client, term):
    ParkedEvent.objects.create(
        position=1, event="bank.Account/Zo%C3%AB@0", projection="p", keys=["1"]
    )
    ParkedEvent.objects.create(position=2, event="bank.Account/Bob@0", projection="p", keys=["1"])
    response = admin_client.get(reverse("admin:rill_django_parkedevent_changelist"), {"q": term})
    assert [one.position for one in response.context["cl"].result_list] == [1]


def plan_of(sql):
    """Return what a database means to do for a statement, a line for each step."""
    word = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN", "mysql": "EXPLAIN FORMAT=JSON"}
    with connection.cursor() as cursor:
        cursor.execute(f"{word[connection.vendor]} {sql}")
        rows = cursor.fetchall()
    if connection.vendor != "mysql":
        return [str(row[-1]) for row in rows]
    steps = []

    def look(node):
        if isinstance(node, dict):
            if "filesort" in node:
                steps.append("Sort")
            if "access_type" in node:
                steps.append(f"{node['access_type']} {node['table_name']}")
            node = list(node.values())
        for one in node if isinstance(node, list) else ():
            look(one)

    look(json.loads(rows[0][0]))
    return steps


def is_scan_of_the_log(step):
    if connection.vendor == "postgresql":
        return "Seq Scan on rill_django_event" in step or "Seq Scan on rill_django_pos" in step
    if connection.vendor == "sqlite":
        return step.startswith("SCAN rill_django_") and "USING" not in step
    # Of MariaDB and MySQL: a table, or an index of it, from one end to the other.
    return step.startswith(
        ("ALL rill_django_event", "index rill_django_event", "ALL rill_django_pos")
    )


@pytest.fixture
def _large():
    """A log that is long enough for the databases to know better than to read all of it."""
    append([f"bank.Account/{number}" for number in range(8_000)], 2)
    append(["bank.Account/Zo%C3%AB"], 12_000)
    append([f"old.Thing/{number}" for number in range(2_000)], type="old.Thing.made")
    DjangoEventStore().sequence()
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("ANALYZE TABLE rill_django_event, rill_django_position")
            cursor.fetchall()
        else:
            # PostgreSQL reads an index alone only where it knows that all rows are visible.
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


TERMS = ("4711", "Zoë", "zoë", "bank.Account/4711@1", "4711@1", "bank.", "old.", "no such", "a/b")


@pytest.mark.django_db(transaction=True)  # MySQL ends transactions when it analyses tables.
@pytest.mark.usefixtures("_large")
def test_no_search_reads_the_whole_log(admin_client, monkeypatch):
    # In proportion: to a million events as these to the log above.
    monkeypatch.setattr(finding, "MOST_FOUND", 50)
    monkeypatch.setattr(finding, "LATEST", 500)
    for query in [{"q": term} for term in TERMS] + [{"stream__exact": "bank.Account/Zo%C3%AB"}]:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(EVENTS, query).status_code == 200
        statements = [one["sql"] for one in captured if "rill_django_event" in one["sql"]]
        assert len(statements) >= 2
        assert len(captured) <= 10
        plans = {sql: plan_of(sql) for sql in statements}
        assert any(plans.values())
        for sql, steps in plans.items():
            assert not [one for one in steps if is_scan_of_the_log(one)], (query, sql, steps)
            if "stream__exact" in query:  # It may be a long one.
                assert not [one for one in steps if "Sort" in one or "TEMP B-TREE" in one], steps
