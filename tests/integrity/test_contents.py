"""What events say is checked by today's code."""

from datetime import date
from enum import Enum
from pathlib import Path

import pytest

from rill_django import Aggregate, RawEvent, event, key, upcast
from rill_django.domain.records import StoredEvent
from rill_django.integrity.contents import ContentCheck
from rill_django.integrity.findings import Damage, Findings, Verdict
from rill_django.integrity.names import fault_of_stream
from rill_django.testing import isolated_registry
from tests.integrity.logs import NOON


@pytest.fixture(autouse=True)
def registry():
    with isolated_registry() as registry:

        class Account(Aggregate, name="bank.Account"):
            number: str = key()

            @event
            def opened(self, owner: str):
                pass

        yield registry


def stored(position, stream, data, *, type="bank.Account.opened", metadata=b"{}"):
    return StoredEvent(stream, position - 1, position, type, data, metadata, NOON)


def check(registry, *events):
    findings = Findings()
    ContentCheck(registry, findings).check(events)
    return findings


def damage(findings):
    return {kind: (found.count, found.first) for kind, found in findings.damage.items()}


GOOD = b'{"number":"1","owner":"Ann"}'


def test_good_events_are_counted_and_no_more(registry):
    findings = check(registry, stored(1, "bank.Account/1", GOOD), stored(2, "bank.Account/1", GOOD))
    assert findings == Findings(events=2)
    assert findings.is_whole


def test_events_that_cannot_be_read_are_named_and_the_others_read_all_the_same(registry):
    findings = check(
        registry,
        stored(1, "bank.Account/1", b"[]"),
        stored(2, "bank.Account/1", GOOD),
        stored(3, "bank.Account/1", b'{"number":"1"}'),
        stored(4, "bank.Account/2", GOOD),
    )
    assert findings.events == 4
    count, first = damage(findings)[Damage.PAYLOAD]
    assert count == 1
    assert first.startswith("position 1, bank.Account/1@0 (bank.Account.opened): Expected `object`")
    count, first = damage(findings)[Damage.UNREADABLE]
    assert count == 1
    assert first.startswith("position 3, bank.Account/1@2 (bank.Account.opened): Object missing")
    # The one behind them was read, too.
    assert damage(findings)[Damage.WRONG_STREAM] == (
        1,
        "position 4, bank.Account/2@3: bank.Account.opened belongs to bank.Account/1",
    )


def test_unknown_types_are_damage_and_counted(registry):
    findings = check(
        registry,
        stored(1, "shop.Cart/1", b'{"a":1}', type="shop.Cart.filled"),
        stored(2, "shop.Cart/1", b"{}", type="shop.Cart.filled"),
        stored(3, "shop.Cart/1", b"{}", type="shop.Cart.emptied"),
        stored(4, "bank.Account/1", b"{}", type="bank.Account.added"),
    )
    assert damage(findings) == {
        Damage.UNKNOWN_AGGREGATE: (3, "position 1, shop.Cart/1@0: no code knows shop.Cart"),
        Damage.UNKNOWN_TYPE: (1, "position 4, bank.Account/1@3: no code knows bank.Account.added"),
    }
    assert findings.unknown_types == {
        "shop.Cart.filled": 2,
        "shop.Cart.emptied": 1,
        "bank.Account.added": 1,
    }


def test_types_that_are_passed_over_are_counted_and_no_damage(registry, settings):
    settings.RILL = {"UNKNOWN_EVENTS": ["shop.Cart", "bank.Account.added"]}
    findings = check(
        registry,
        stored(1, "shop.Cart/1", b'{"a":1}', type="shop.Cart.filled"),
        stored(2, "bank.Account/1", b"{}", type="bank.Account.added"),
    )
    assert findings.is_whole
    assert findings.unknown_types == {}
    assert findings.passed_over == {"shop.Cart.filled": 1, "bank.Account.added": 1}


def test_types_that_their_aggregate_ignores_are_passed_over():
    with isolated_registry() as registry:

        class Account(Aggregate, name="bank.Account"):
            number: str = key()
            ignores = ("added",)

        findings = check(registry, stored(1, "bank.Account/1", b"{}", type="bank.Account.added"))
        assert findings.is_whole
        assert findings.passed_over == {"bank.Account.added": 1}


def test_types_are_counted_one_by_one_up_to_a_limit(registry, monkeypatch):
    monkeypatch.setattr("rill_django.integrity.findings.TYPES_AT_MOST", 2)
    events = [stored(n, "bank.Account/1", b"{}", type=f"x.y.t{n}") for n in range(1, 5)]
    findings = check(registry, *events)
    assert findings.unknown_types == {"x.y.t1": 1, "x.y.t2": 1, "(others)": 2}
    assert findings.damage[Damage.UNKNOWN_TYPE].count == 4


def test_examples_are_few_and_short_and_all_are_counted(registry):
    stream = "bank.Account/" + "1" * 2_000
    findings = check(registry, *(stored(n, stream, GOOD) for n in range(1, 101)))
    found = findings.damage[Damage.STREAM]
    assert found.count == 100
    assert [at for at, _what in found.examples] == [1, 2, 3, 4, 5]
    assert all(len(what) < 600 for _at, what in found.examples)


def test_an_old_time_without_a_zone_is_no_damage(registry):
    old = b'{"occurred_at":"2024-05-31T12:00:00"}'
    assert check(registry, stored(1, "bank.Account/1", GOOD, metadata=old)).is_whole


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'{"occurred_at":"yesterday"}', "Invalid RFC3339"),
        (b'{"occurred_at":7}', "Expected `datetime`"),
    ],
)
def test_metadata_have_to_say_when_it_occurred_as_a_time(registry, text, what):
    findings = check(registry, stored(1, "bank.Account/1", GOOD, metadata=text))
    assert what in damage(findings)[Damage.METADATA][1]


@pytest.mark.parametrize(
    "data",
    [
        b'{"number":"1","owner":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"number":"1","owner":"\xff"}',
        b'{"number":"1","owner":NaN}',
        b'{"number":"1","owner":"Ann"',
        b"",
        b"\x00",
    ],
)
@pytest.mark.parametrize("type", ["bank.Account.opened", "bank.Account.unknown"])
def test_no_payload_ends_the_check(registry, data, type):
    findings = check(
        registry,
        stored(1, "bank.Account/1", data, type=type),
        stored(2, "bank.Account/2", GOOD),
    )
    assert findings.events == 2
    (kind,) = findings.damage.keys() - {Damage.WRONG_STREAM, Damage.UNKNOWN_TYPE}
    assert kind is Damage.PAYLOAD
    assert findings.damage[kind].count == 1
    assert Damage.WRONG_STREAM in findings.damage


@pytest.mark.parametrize("type", ["", "a b", "t" * 256, "é", "a\n"])
def test_names_of_types_that_the_log_cannot_hold(registry, type):
    findings = check(registry, stored(1, "bank.Account/1", b"{}", type=type))
    assert Damage.TYPE in findings.damage


def test_an_unknown_event_still_has_to_be_an_object(registry):
    findings = check(registry, stored(1, "shop.Cart/1", b"7", type="shop.Cart.filled"))
    assert list(findings.damage) == [Damage.PAYLOAD]


def test_metadata_have_to_be_an_object_and_the_rest_is_checked_all_the_same(registry):
    findings = check(
        registry,
        stored(1, "bank.Account/1", GOOD, metadata=b"[]"),
        stored(2, "bank.Account/2", GOOD, metadata=b"null"),
    )
    assert damage(findings)[Damage.METADATA] == (
        2,
        "position 1, bank.Account/1@0: Expected `object`, got `array`",
    )
    assert Damage.WRONG_STREAM in findings.damage


def test_an_event_in_a_stream_of_another_type_is_in_the_wrong_one(registry):
    findings = check(registry, stored(1, "bank.Customer/1", GOOD))
    assert "belongs to bank.Account/1" in damage(findings)[Damage.WRONG_STREAM][1]


def test_keys_of_every_kind_are_compared_in_canonical_form(registry):
    class Class(Enum):
        FIRST = "1st"

    class Seat(Aggregate, name="air.Seat"):
        day: date = key()
        row: int = key()
        kind: Class = key()

        @event
        def sold(self):
            pass

    seat = Seat(date(2024, 5, 31), 7, Class.FIRST)
    data = b'{"day":"2024-05-31","row":7,"kind":"1st"}'
    assert check(registry, stored(1, seat.stream, data, type="air.Seat.sold")).is_whole
    other = stored(1, seat.stream.replace("7", "8"), data, type="air.Seat.sold")
    assert Damage.WRONG_STREAM in check(registry, other).damage


def test_a_stream_with_an_old_name_is_right_for_events_that_are_renamed_when_read(registry):
    @upcast("old.Account.opened")
    def moved(event: RawEvent):
        return event.renamed("bank.Account.opened")

    findings = check(registry, stored(1, "old.Account/1", GOOD, type="old.Account.opened"))
    assert Damage.WRONG_STREAM not in findings.damage
    # But no aggregate finds it there.
    assert list(findings.damage) == [Damage.UNKNOWN_AGGREGATE]


def test_so_it_is_for_keys_that_get_another_form(registry):
    @upcast("bank.Account.opened")
    def padded(event: RawEvent):
        return event.with_data(number=event.data["number"].zfill(8))

    assert check(registry, stored(1, "bank.Account/1", GOOD)).is_whole


def test_an_upcaster_that_sees_every_event_hides_no_wrong_stream(registry):
    @upcast()
    def seen(event: RawEvent):
        return event

    assert check(registry, stored(1, "bank.Account/1", GOOD)).is_whole
    assert Damage.WRONG_STREAM in check(registry, stored(1, "bank.Account/2", GOOD)).damage


def test_an_upcaster_may_drop_and_split_events(registry):
    @upcast("bank.Account.dropped")
    def gone(event: RawEvent):
        return None

    @upcast("bank.Account.both")
    def twice(event: RawEvent):
        return [event.renamed("bank.Account.opened"), event.renamed("bank.Account.noted")]

    findings = check(
        registry,
        stored(1, "bank.Account/1", GOOD, type="bank.Account.dropped"),
        stored(2, "bank.Account/1", GOOD, type="bank.Account.both"),
    )
    assert findings.events == 2
    assert findings.unknown_types == {"bank.Account.noted": 1}
    assert list(findings.damage) == [Damage.UNKNOWN_TYPE]


def test_an_upcaster_that_fails_makes_an_event_unreadable(registry):
    @upcast("bank.Account.opened")
    def fails(event: RawEvent):
        raise KeyError("holder")

    (_, first) = damage(check(registry, stored(1, "bank.Account/1", GOOD)))[Damage.UNREADABLE]
    assert "after upcasting: KeyError: 'holder'" in first


@pytest.mark.parametrize(
    "stream",
    [
        "bank.Account/1",
        "a/b/c",
        "bank.Account/ann@example.org",
        "x/%C3%A9",
        "x/a%20b",
        "x/%2F",
        "x/~",
    ],
)
def test_canonical_streams(stream):
    assert fault_of_stream(stream) is None


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        ("bank.Account/%c3%a9", "that would be bank.Account/%C3%A9"),
        ("bank.Account/%61", "that would be bank.Account/a"),
        ("bank.Account/%FF", "not canonical"),
        ("bank.Account/a%", "that would be bank.Account/a%25"),
        ("bank.Account/a b", "blanks"),
        ("bank.Account/a\n", "printable"),
        ("bank.Account/é", "ASCII"),
        ("bank.Account", "category and keys"),
        ("bank.Account//1", "category and keys"),
        ("bank.Account/1/", "category and keys"),
        ("", "category and keys"),
        ("x/" + "1" * 254, "256 characters"),
    ],
)
def test_streams_that_are_not_canonical(stream, fault):
    assert fault in fault_of_stream(stream)


def test_findings_of_parts_add_up_and_the_first_stays_the_first():
    late, early = Findings(events=2, streams=1), Findings(events=3, waiting=4)
    late.note(Damage.HOLE, 70, "position 70", 2)
    late.note_unknown("a")
    early.note(Damage.HOLE, 7, "position 7")
    early.note(Damage.STREAM, 8, "position 8")
    early.note_unknown("a", 2)
    late.add(early)
    assert late.to_dict() == {
        "verdict": "damaged",
        "whole": False,
        "events": 5,
        "streams": 1,
        "waiting": 4,
        "unknown_types": {"a": 3},
        "passed_over": {},
        "damage": [
            {
                "kind": "position-missing",
                "meaning": "a position is missing",
                "count": 3,
                "examples": ["position 7", "position 70"],
            },
            {
                "kind": "stream-name",
                "meaning": "a stream's name is not canonical",
                "count": 1,
                "examples": ["position 8"],
            },
        ],
        "unreadable": [],
        "unknown_fields": [],
    }


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        ([], Verdict.WHOLE),
        ([Damage.UNREADABLE], Verdict.UNREADABLE),
        ([Damage.UNKNOWN_TYPE, Damage.UNKNOWN_AGGREGATE], Verdict.UNREADABLE),
        ([Damage.PAYLOAD], Verdict.DAMAGED),
        ([Damage.UNREADABLE, Damage.HOLE], Verdict.DAMAGED),
    ],
)
def test_of_damage_and_what_today_s_code_cannot_read_the_worse_counts(kinds, verdict):
    findings = Findings()
    for kind in kinds:
        findings.note(kind, 1, "what")
    assert findings.verdict is verdict
    found = findings.to_dict()
    assert found["verdict"] == verdict.value
    assert [one["kind"] for one in found["damage"] + found["unreadable"]] == [
        kind.value
        for kind in sorted(kinds, key=lambda kind: (kind.is_of_code, list(Damage).index(kind)))
    ]


def test_every_kind_of_damage_has_a_meaning():
    assert len({kind.meaning for kind in Damage}) == len(Damage)


def test_the_documentation_has_every_kind_of_damage():
    documentation = (Path(__file__).resolve().parents[2] / "docs/integrity.md").read_text()
    for kind in Damage:
        assert f"| `{kind.value}` | {kind.meaning} |" in documentation
