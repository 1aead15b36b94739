"""Damaged logs are told from whole ones."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction

from rill_django import processes
from rill_django.integrity import reading, verification, workers
from rill_django.integrity.findings import Damage
from rill_django.integrity.verification import Whole, parts_of, verify
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import StoredType
from tests.integrity.logs import (
    POSITION,
    TAMPERS,
    UNSEQUENCED,
    append,
    delete_position,
    insert,
    insert_event,
    insert_position,
    opened,
    scalar,
    small_log,
    sql,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """So that a small log has several parts, with pages that begin and end inside."""
    monkeypatch.setattr(reading, "PAGE_SIZE", 2)
    monkeypatch.setattr(verification, "parts_of", lambda store: parts_of(store, 3))


def found(**options):
    return verify(DjangoEventStore(), **options)


def only(kind, findings=None, also=()):
    """The count and text of the only kind of damage."""
    damage = (findings or found()).damage
    assert set(damage) == {kind, *also}, damage
    return damage[kind].count, damage[kind].first


def test_an_empty_log_is_whole():
    assert found().to_dict() == {
        "verdict": "whole",
        "whole": True,
        "events": 0,
        "streams": 0,
        "waiting": 0,
        "unknown_types": {},
        "passed_over": {},
        "damage": [],
        "unreadable": [],
        "unknown_fields": [],
    }


def test_a_log_that_the_store_wrote_is_whole():
    small_log()
    findings = found()
    assert findings.is_whole, findings
    assert (findings.events, findings.streams, findings.waiting) == (9, 3, 0)


def test_progress_ends_at_the_head():
    small_log()
    told = []
    found(progress=lambda done, head: told.append((done, head)))
    assert told[-1] == (9, 9)
    assert told == sorted(told)


@TAMPERS
@pytest.mark.parametrize(
    ("missing", "first"), [([5], 5), ([1], 1), ([2, 3, 4, 5, 6, 7], 2), ([3, 8], 3)]
)
def test_a_hole_is_found_where_it_is(missing, first):
    small_log()
    for position in missing:
        delete_position(position)
    findings = found()
    assert set(findings.damage) == {Damage.HOLE, Damage.UNPLACED}
    hole = findings.damage[Damage.HOLE]
    assert (hole.count, hole.first) == (len(missing), f"position {first}")
    assert findings.damage[Damage.UNPLACED].count == len(missing)
    assert findings.events == 9 - len(missing)


@TAMPERS
def test_the_last_position_missing_shows_in_its_event():
    small_log(accounts=1, deposits=1)
    delete_position(2)
    count, first = only(Damage.UNPLACED)
    assert count == 1
    assert first.startswith("bank.Account/0@1 (bank.Account.deposited), id ")


def test_a_position_that_lost_its_event_is_no_hole():
    small_log(accounts=1)
    insert_position(999_999_999)
    insert_position(999_999_998)
    insert("bank.Account/9", 0)
    count, first = only(Damage.LOST_EVENT)
    assert count == 2
    assert first == "position 4: there is no event with the id 999999999"


def test_holes_and_lost_events_side_by_side():
    small_log(accounts=1)
    insert_position(999_999_999, 5)
    insert_position(999_999_998, 8)
    damage = found().damage
    assert {kind: (one.count, one.first) for kind, one in damage.items()} == {
        Damage.LOST_EVENT: (2, "position 5: there is no event with the id 999999999"),
        Damage.HOLE: (3, "position 4"),
    }


def test_positions_begin_at_1():
    insert_position(insert_event("bank.Account/1", 0), 0)
    assert only(Damage.BELOW_ONE) == (1, "position 0")


def test_an_event_that_neither_has_a_position_nor_waits_for_one():
    small_log(accounts=1)
    insert_event("bank.Account/8", 0)
    insert_event("bank.Account/9", 0)
    count, first = only(Damage.UNPLACED)
    assert count == 2
    assert first.startswith("bank.Account/8@0 (bank.Account.opened), id ")


def test_events_that_wait_are_no_damage():
    small_log(accounts=1)
    with transaction.atomic():  # Positions are not given inside.
        sql(f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (%s)", insert_event("bank.Account/9", 0))
        findings = found()
    assert findings.is_whole, findings
    assert findings.waiting == 1


@pytest.mark.parametrize("is_positioned", [True, False])
def test_what_waits_wrongly(is_positioned):
    small_log(accounts=1)
    event = scalar(f"SELECT min(event_id) FROM {POSITION}") if is_positioned else 999_999_999
    with transaction.atomic():
        sql(f"INSERT INTO {UNSEQUENCED} (event_id) VALUES (%s)", event)
        kind = Damage.WAITING_TWICE if is_positioned else Damage.WAITING_FOR_NOTHING
        assert only(kind) == (1, f"event id {event}")


@pytest.mark.parametrize(
    ("versions", "missing"), [([1], 0), ([0, 2], 1), ([0, 1, 4, 5], 2), ([3, 4], 0)]
)
def test_a_gap_in_the_versions_of_a_stream(versions, missing):
    small_log()
    for version in versions:
        insert("bank.Account/8", version)
    assert only(Damage.VERSIONS) == (1, f"bank.Account/8 has no version {missing}")


def test_streams_with_gaps_are_counted():
    insert("bank.Account/8", 1)
    insert("bank.Account/9", 5)
    insert("bank.Account/7", 0)
    findings = found()
    assert only(Damage.VERSIONS, findings) == (2, "bank.Account/8 has no version 0")
    assert findings.streams == 3


def test_events_in_another_order_than_their_versions():
    small_log(accounts=1)
    first = insert_event("bank.Account/9", 0)
    second = insert_event("bank.Account/9", 1)
    insert_position(second)
    insert_position(first)
    assert only(Damage.ORDER) == (
        1,
        "position 4, bank.Account/9@1: an earlier version is behind it",
    )


@pytest.mark.parametrize(
    ("columns", "kind", "text"),
    [
        ({"data": '{"number": "9"}'}, Damage.UNREADABLE, "missing required field `owner`"),
        ({"data": "[1]"}, Damage.PAYLOAD, "Expected `object`, got `array`"),
        ({"metadata": "[]"}, Damage.METADATA, "Expected `object`, got `array`"),
        (
            {"data": '{"number": "8", "owner": "Ann"}'},
            Damage.WRONG_STREAM,
            "bank.Account.opened belongs to bank.Account/8",
        ),
    ],
)
def test_what_an_event_says_is_checked(columns, kind, text):
    small_log(accounts=1)
    insert("bank.Account/9", 0, **columns)
    count, first = only(kind)
    assert count == 1
    assert first.startswith("position 4, bank.Account/9@0")
    assert text in first


def test_a_stream_that_is_not_canonical():
    insert("shop.Cart/%c3%a9", 0, type="shop.Cart.filled")
    insert("shop.Cart/%c3%a9", 1, type="shop.Cart.filled")
    findings = found()
    assert only(Damage.STREAM, findings, also=[Damage.UNKNOWN_AGGREGATE]) == (
        2,
        "position 1, shop.Cart/%c3%a9@0: is not canonical: that would be shop.Cart/%C3%A9",
    )
    assert findings.unknown_types == {"shop.Cart.filled": 2}


def test_a_type_that_the_table_of_types_has_not():
    small_log(accounts=1)
    insert("bank.Account/9", 0, noted=False)
    assert found().is_whole
    StoredType.objects.all().delete()
    count, first = only(Damage.NOT_NOTED)
    assert count == 4
    assert first == "position 1, bank.Account/0@0: bank.Account.opened in streams of bank.Account"


def test_parts_cover_the_log():
    def ranges(size):
        parts = list(parts_of(DjangoEventStore(), size))
        assert [part.whole for part in parts[: len(Whole)]] == list(Whole)
        return [(part.after, part.upto, part.size) for part in parts[len(Whole) :]]

    assert ranges(3) == []
    small_log()
    assert ranges(3) == [(0, 3, 3), (3, 6, 3), (6, 9, 3)]
    assert ranges(4) == [(0, 4, 4), (4, 8, 4), (8, 9, 1)]
    insert_position(insert_event("bank.Account/9", 0), -7)
    insert_position(insert_event("bank.Account/9", 1), 10**17)
    assert ranges(4) == [(-8, 3, 4), (3, 7, 4), (7, 10**17, 3)]


@TAMPERS
@pytest.mark.django_db(transaction=True)
def test_several_processes_find_the_same():
    small_log()
    insert("bank.Account/8", 1, data="[]")
    insert("shop.Cart/9", 0, type="shop.Cart.filled")
    delete_position(4)
    one, two = found(), found(workers=2)
    assert two.to_dict() == one.to_dict()
    assert set(two.damage) == {
        Damage.UNKNOWN_AGGREGATE,
        Damage.HOLE,
        Damage.UNPLACED,
        Damage.VERSIONS,
        Damage.PAYLOAD,
    }


@pytest.mark.django_db(transaction=True)
def test_several_processes_need_settings_that_they_can_read(settings, monkeypatch):
    monkeypatch.setattr(processes, "settings", object())
    with pytest.raises(ImproperlyConfigured, match="DJANGO_SETTINGS_MODULE"):
        found(workers=2)


def test_a_database_in_memory_is_checked_by_one(monkeypatch):
    small_log()
    monkeypatch.setattr(verification, "can_be_shared", lambda using: False)
    monkeypatch.setattr(verification, "in_processes", None)
    assert found(workers=2).is_whole


def test_which_databases_other_processes_can_open(monkeypatch):
    assert workers.can_be_shared("default")
    if connection.vendor == "sqlite":
        monkeypatch.setattr(connection, "is_in_memory_db", lambda: True)
        assert not workers.can_be_shared("default")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_what_is_written_meanwhile_is_no_damage():
    def write(number):
        try:
            for version in range(150):
                append(f"bank.Account/{number}", opened(number), at=version - 1)
                if version % 10 == 0:
                    DjangoEventStore().head()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, number) for number in range(3)]
        results = [found()]
        while not all(writer.done() for writer in writers):
            results.append(found())
        for writer in writers:
            writer.result()
    assert all(findings.is_whole for findings in results), results
    assert found().events == 450
