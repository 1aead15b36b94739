"""Which events an export has, and in which order."""

from datetime import datetime, timedelta, timezone

import pytest

from rill_django.integrity.exporting import Export, Wanted
from rill_django.store.orm import DjangoEventStore
from tests.integrity.logs import (
    DEPOSITED,
    NOON,
    OPENED,
    append,
    deposited,
    insert_event,
    opened,
    small_log,
)

pytestmark = pytest.mark.django_db


def exported(**wanted):
    return [
        f"{event.stream}@{event.version}"
        for event in Export(DjangoEventStore(), Wanted(**wanted)).events()
    ]


def test_an_empty_log():
    assert exported() == []
    assert exported(since=NOON) == []


def test_all_of_it_in_the_order_of_positions():
    small_log(accounts=2, deposits=1)
    assert exported() == [
        "bank.Account/0@0",
        "bank.Account/1@0",
        "bank.Account/0@1",
        "bank.Account/1@1",
    ]


def test_several_streams_are_in_the_order_of_positions_too():
    small_log(accounts=3, deposits=1)
    assert exported(streams={"bank.Account/2", "bank.Account/0", "bank.Account/none"}) == [
        "bank.Account/0@0",
        "bank.Account/2@0",
        "bank.Account/0@1",
        "bank.Account/2@1",
    ]


def test_one_category():
    small_log(accounts=1, deposits=0)
    append("bank.AccountX/1", opened(1))
    append("bank.Account/9/9", opened(9))
    assert exported(category="bank.Account") == ["bank.Account/0@0", "bank.Account/9/9@0"]


def test_some_types():
    small_log(accounts=1, deposits=1)
    assert exported(types={DEPOSITED}) == ["bank.Account/0@1"]
    assert exported(types={DEPOSITED, OPENED}) == exported()
    assert exported(types={"x"}) == []


def test_behind_a_position():
    small_log(accounts=2, deposits=1)
    assert exported(after=3) == ["bank.Account/1@1"]
    assert exported(after=4) == exported(after=99) == []


def test_all_filters_must_hold():
    small_log(accounts=2, deposits=1)
    stream = frozenset(["bank.Account/0"])
    assert exported(streams=stream, types={DEPOSITED}) == ["bank.Account/0@1"]
    assert exported(streams=stream, after=1) == ["bank.Account/0@1"]
    assert exported(streams=stream, category="shop.Cart") == []


# Times need not be in the order of positions: history may have been imported.
TIMES = {"a": 2, "b": 0, "c": 1, "d": 3}


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, "abcd"),
        (0, None, "abcd"),
        (1, None, "acd"),
        (3, None, "d"),
        (4, None, ""),
        (None, 4, "abcd"),
        (None, 3, "abc"),
        (None, 1, "b"),
        (None, 0, ""),
        (1, 3, "ac"),
        (2, 2, ""),
    ],
)
@pytest.mark.parametrize("microseconds", [0, 250_000, 123_456])
@pytest.mark.parametrize("streams", [(), tuple(f"bank.Account/{name}" for name in "abcd")])
def test_since_is_inclusive_and_until_is_not(since, until, expected, microseconds, streams):
    begin = datetime(2024, 5, 31, 12, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
    for name, second in TIMES.items():
        append(f"bank.Account/{name}", opened(name, begin + timedelta(microseconds=second)))

    def moment(number):
        there = timezone(timedelta(hours=-5))
        return (
            None if number is None else (begin + timedelta(microseconds=number)).astimezone(there)
        )

    found = exported(streams=frozenset(streams), since=moment(since), until=moment(until))
    assert "".join(one[-3] for one in found) == expected


def test_times_narrow_the_positions_that_are_read():
    for number in range(6):
        append(f"bank.Account/{number}", opened(number, NOON + timedelta(days=number)))
    export = Export(
        DjangoEventStore(),
        Wanted(since=NOON + timedelta(days=2), until=NOON + timedelta(days=4), after=1),
    )
    assert (export.after, export.upto) == (2, 4)


def test_what_comes_after_the_start_is_left_out():
    small_log(accounts=1, deposits=0)
    log, stream = (
        Export(DjangoEventStore(), Wanted(streams=streams))
        for streams in (frozenset(), frozenset(["bank.Account/0"]))
    )
    append("bank.Account/0", deposited(0), at=0)
    for export in (log, stream):
        assert [event.version for event in export.events()] == [0]
    assert exported() == ["bank.Account/0@0", "bank.Account/0@1"]


def test_what_has_no_position_is_left_out():
    small_log(accounts=1, deposits=0)
    insert_event("bank.Account/0", 1)
    assert exported(streams={"bank.Account/0"}) == ["bank.Account/0@0"]
