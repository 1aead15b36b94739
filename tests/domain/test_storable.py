# ruff: noqa: DTZ001 - a time without a zone is a value, too
"""What cannot come back from the log as it is: a message settles it, or refuses it."""

import enum
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest

from rill_django import Aggregate, DefinitionError, InvalidMessage, event, key
from rill_django.domain.codec import encode_event
from rill_django.domain.frozen import frozen
from rill_django.domain.kinds import Kind
from rill_django.domain.storable import (
    DECIMAL_DIGITS,
    INTEGER_DIGITS,
    Unstorable,
    place_in,
    settled,
)

T = TypeVar("T")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
PLUS_ONE = timezone(timedelta(hours=1))


class Sum(msgspec.Struct, frozen=True):
    amount: Decimal
    parts: dict[str, Decimal] = {}


@dataclass(frozen=True)
class Note:
    texts: list[str]


class Pair(NamedTuple):
    first: Decimal
    second: float


class Row(TypedDict):
    amount: Decimal


class Trimmed(msgspec.Struct, frozen=True):
    text: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "text", self.text.strip())


class Counted(msgspec.Struct, frozen=True):
    number: int

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "number", self.number + 1)


class Box(msgspec.Struct, Generic[T], frozen=True):
    inside: T


@dataclass(frozen=True)
class Pile(Generic[T]):
    parts: list[T]


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


numbers = count()


def thing(kind: Any) -> Any:
    class Thing(Aggregate, name=f"tests.Thing{next(numbers)}"):
        id: str = key()

        @event
        def acted(self, it: kind):
            pass

    return Thing


def taken(kind: Any, value: Any) -> Any:
    """What an event has of a value that was given to it."""
    return thing(kind)("1").acted(value).new_events[0].it


NAN, INFINITY, GIANT = Decimal("NaN"), Decimal("Infinity"), Decimal("1E+1000000")


class TestIsRefused:
    @pytest.mark.parametrize(
        ("kind", "value", "path", "reason"),
        [
            *((Decimal, value, "it", "finite") for value in (NAN, INFINITY, -INFINITY, "NaN")),
            (Decimal, Decimal("sNaN"), "it", "finite"),
            (Decimal, float("inf"), "it", "finite"),
            (list[Decimal], [1, NAN], "it[1]", "finite"),
            (tuple[Decimal, ...], (INFINITY,), "it[0]", "finite"),
            (set[Decimal], {INFINITY}, "it[...]", "finite"),
            (dict[str, Decimal], {"a": NAN}, "it[...]", "finite"),
            (dict[Decimal, int], {NAN: 1}, "it[...]", "finite"),
            (Decimal | None, NAN, "it", "finite"),
            (int | Decimal, INFINITY, "it", "finite"),
            (Sum, Sum(NAN), "it.amount", "finite"),
            (Sum, Sum(Decimal(1), {"a": INFINITY}), "it.parts[...]", "finite"),
            (list[Sum], [{"amount": "Infinity"}], "it[0].amount", "finite"),
            (Pair, Pair(NAN, 1.0), "it[0]", "finite"),
            (Row, {"amount": NAN}, "it[...]", "finite"),
            (Any, NAN, "it", "finite"),
            (Any, [{"a": (INFINITY,)}], "it[0][...][0]", "finite"),
        ],
    )
    def test_a_decimal_that_is_no_finite_number(self, kind, value, path, reason):
        self.refused(kind, value, path, reason)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (Decimal, GIANT),
            (Decimal, "1E+1000000"),
            (Decimal, "1E-1000000"),
            (Decimal, Decimal("0E+5000")),
            (Decimal, "9" * (DECIMAL_DIGITS + 1)),
            (Decimal, f"1E+{DECIMAL_DIGITS + 1}"),
            (Decimal, f"1E-{DECIMAL_DIGITS + 1}"),
            (Decimal, "1e400"),
            (Decimal, "1e999"),
            (Decimal, 10**4000),
            (int, 10**INTEGER_DIGITS),
            (int, -(10**4000)),
            (Any, GIANT),
            (Any, 10**4000),
            (int | Decimal, 10**4000),
        ],
    )
    def test_a_number_too_large_to_reckon_with(self, kind, value):
        self.refused(kind, value, "it", "has more than 1,?0+ digits")

    @pytest.mark.parametrize("value", ["\ud800", "a\0b", "\udcff…"])
    @pytest.mark.parametrize(
        ("kind", "wrap", "path"),
        [
            (str, lambda one: one, "it"),
            (str | None, lambda one: one, "it"),
            (list[str], lambda one: ["ok", one], "it[1]"),
            (dict[str, int], lambda one: {one: 1, "ok": 2}, "it[...]"),
            (Note, lambda one: Note([one]), "it.texts[0]"),
            (Any, lambda one: {"a": ["ok", one]}, "it[...][1]"),
        ],
    )
    def test_a_text_that_no_database_keeps(self, kind, wrap, path, value):
        self.refused(kind, wrap(value), path, "NUL|surrogate")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("kind", [float, float | None, int | float, Any])
    def test_a_float_that_json_has_not(self, kind, value):
        self.refused(kind, value, "it", "no number")

    @pytest.mark.parametrize(
        ("kind", "value", "path"),
        [
            (Decimal, 1234567890123456.78, "it"),
            (Decimal, 9007199254740993.0, "it"),
            (Decimal, 0.1 + 0.2, "it"),
            (Decimal, 1 / 3, "it"),
            (Decimal | None, 1 / 3, "it"),
            (int | Decimal, 1 / 3, "it"),
            (list[Decimal], [1, 1 / 3], "it[1]"),
            (tuple[float, Decimal], (1 / 3, 1 / 3), "it[1]"),
            (dict[str, Decimal], {"a": 1 / 3}, "it[...]"),
            (Sum, {"amount": 1 / 3}, "it.amount"),
            (list[Sum], [{"amount": 1, "parts": {"a": 1 / 3}}], "it[0].parts[...]"),
            (Pair, [1 / 3, 1 / 3], "it[0]"),
            (Row, {"amount": 1 / 3}, "it.amount"),
        ],
    )
    def test_a_float_for_a_decimal_that_may_have_lost_digits(self, kind, value, path):
        self.refused(kind, value, path, "may have lost digits")

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (time(5, tzinfo=AMSTERDAM), "no offset from UTC"),
            (time(5, tzinfo=timezone(timedelta(seconds=5))), "whole minutes"),
        ],
    )
    def test_a_time_of_day_whose_zone_would_be_lost(self, value, reason):
        self.refused(time, value, "it", reason)
        self.refused(Any, [value], "it[0]", reason)

    def test_a_moment_beyond_the_calendar(self):
        offset = timezone(timedelta(seconds=30))
        self.refused(datetime, datetime(1, 1, 1, tzinfo=offset), "it", "beyond the calendar")

    @pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {1: "a", "1": "b", "c": 3}])
    def test_a_dict_whose_keys_become_one(self, value):
        for kind in (dict, Any, dict[int | str, str | int]):
            self.refused(kind, value, "it", "two keys")

    def test_a_dict_that_has_one_moment_twice(self):
        twice = datetime(2024, 10, 27, 2, 30, tzinfo=AMSTERDAM)
        summer = twice.replace(tzinfo=timezone(timedelta(hours=2)))
        assert len({twice: 1, summer: 2}) == 2  # Python takes no fold for equal to anything.
        self.refused(dict[datetime, int], {twice: 1, summer: 2}, "it", "two keys")

    @pytest.mark.parametrize(
        "value", [object(), {None: 1}, {(1, 2): 3}, {True: 1}, msgspec.Raw(b"1"), 3j]
    )
    def test_what_json_has_no_form_for(self, value):
        self.refused(Any, value, "it", "cannot be stored as JSON")

    def test_what_goes_round_in_circles(self):
        circle: list[Any] = []
        circle.append(circle)
        self.refused(Any, circle, "it", "cannot be stored as JSON")

    def test_what_code_makes_another_of_each_time(self):
        self.refused(Counted, Counted(1), "it", "comes back from JSON as something else")

    def refused(self, kind: Any, value: Any, path: str, reason: str) -> None:
        definition = thing(kind).acted
        for give in (definition.aggregate("1").acted, lambda it: definition.message("1", it)):
            with pytest.raises(InvalidMessage, match=reason) as caught:
                give(value)
            assert caught.value.field == path
            assert caught.value.message_type == definition.name


class TestIsSettled:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (
                datetime(2024, 7, 1, 12, tzinfo=AMSTERDAM),
                datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))),
            ),
            (
                datetime(2024, 10, 27, 2, 30, tzinfo=AMSTERDAM),
                datetime(2024, 10, 27, 2, 30, tzinfo=timezone(timedelta(hours=2))),
            ),
            (
                datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=AMSTERDAM),
                datetime(2024, 10, 27, 2, 30, tzinfo=PLUS_ONE),
            ),
            (
                # Local mean time, 19 minutes and 32 seconds ahead.
                datetime(1900, 1, 1, tzinfo=AMSTERDAM),
                datetime(1899, 12, 31, 23, 40, 28, tzinfo=timezone.utc),
            ),
            (
                datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
                datetime(2024, 1, 1, tzinfo=PLUS_ONE),
            ),
            (
                datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
                datetime(2024, 1, 1, tzinfo=timezone.utc),
            ),
            (datetime(2024, 1, 1, fold=1), datetime(2024, 1, 1)),
            (datetime(2024, 1, 1), datetime(2024, 1, 1)),
        ],
    )
    def test_a_time_zone_into_its_offset(self, given, kept):
        for kind, value in ((datetime, given), (datetime | None, given), (list[datetime], [given])):
            found = taken(kind, value)
            found = found[0] if isinstance(found, list) else found
            assert (found.isoformat(), repr(found)) == (kept.isoformat(), repr(kept))

    def test_so_that_reckoning_with_it_is_the_same_everywhere(self):
        at = taken(datetime, datetime(2025, 1, 10, 12, tzinfo=AMSTERDAM))
        later = at + timedelta(days=200)
        assert later.astimezone(timezone.utc) == datetime(2025, 7, 29, 11, tzinfo=timezone.utc)

    @pytest.mark.parametrize(
        ("kind", "given", "kept"),
        [
            (time, time(5, tzinfo=timezone(timedelta(hours=1), "CET")), time(5, tzinfo=PLUS_ONE)),
            (time, time(5, fold=1), time(5)),
            (float, -0.0, 0.0),
            (Any, -0.0, 0.0),
            (Decimal, Decimal("-0.00"), Decimal("-0.00")),
            (Decimal, Decimal("1.500"), Decimal("1.500")),
            (Decimal, 0.1, Decimal("0.1")),
            (Decimal, 1e22, Decimal("1E+22")),
            (Decimal, 123456789012345.0, Decimal("123456789012345.0")),
            (Decimal | float, 1 / 3, 1 / 3),
            (tuple[float, Decimal], (1 / 3, 1), (1 / 3, Decimal(1))),
            (Decimal, f"1E+{DECIMAL_DIGITS}", Decimal(f"1E+{DECIMAL_DIGITS}")),
            (Decimal, "9" * DECIMAL_DIGITS, Decimal("9" * DECIMAL_DIGITS)),
            (int, 10**INTEGER_DIGITS - 1, 10**INTEGER_DIGITS - 1),
            (int | float, 1e22, 1e22),
            (int | float, 5.0, 5.0),
            (str, "e\u0301", "e\u0301"),
            (Box[list[Decimal]], Box([Decimal(1)]), Box([Decimal(1)])),
            (list[Pile[float]], [Pile([-0.0])], [Pile([0.0])]),
            (Trimmed, {"text": " a "}, Trimmed("a")),
            (Rights, Rights.READ | Rights.WRITE, Rights.READ | Rights.WRITE),
            (Literal[1, "a"], 1, 1),
            (timedelta, timedelta(microseconds=-1), timedelta(microseconds=-1)),
            (dict[float, int], {1e22: 1, -0.5: 2}, {-0.5: 2, 1e22: 1}),
            (dict[int | str, int], {1: 1, "a": 2}, {"1": 1, "a": 2}),
            (dict[date, int], {date(2024, 1, 1): 1}, {date(2024, 1, 1): 1}),
            (Any, Decimal("1.50"), "1.50"),
            (Any, datetime(2024, 7, 1, tzinfo=AMSTERDAM), "2024-07-01T00:00:00+02:00"),
            (Any, (1, {"a": {3, 1}}), [1, {"a": [1, 3]}]),
            (Any, {1: b"\0"}, {"1": "AA=="}),
            (Any, {2, "b", None}, [2, None, "b"]),
            (Any, 1e22, 1e22),
            (Any, 2**70, 2**70),
        ],
    )
    def test_into_what_the_log_gives_back(self, kind, given, kept):
        found = taken(kind, given)
        if isinstance(found, list):
            assert sorted(map(repr, found)) == sorted(map(repr, kept))
        else:
            assert repr(found) == repr(kept)
            assert type(found) is type(kept) or isinstance(found, type(kept))

    def test_in_one_order(self):
        class Basket(Aggregate):
            id: str = key()

            @event
            def filled(self, goods: set[str], by: dict[str, int], what: Any):
                pass

        names = ["pear", "fig", "apple", "é", "kiwi"]
        stored = {
            encode_event(
                Basket.filled.message(
                    "1",
                    set(order),
                    dict.fromkeys(order, 1),
                    {"s": set(order), **dict.fromkeys(order)},
                )
            ).data
            for order in (names, names[::-1], sorted(names))
        }
        assert len(stored) == 1


class TestATypeIsRefused:
    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            (bytearray, "write bytes"),
            (memoryview, "write bytes"),
            (msgspec.Raw, "write Any"),
            (list[msgspec.Raw], "write Any"),
            (dict[bool, int], "bool cannot be a key"),
            (dict[tuple[int, int], int], "tuple cannot be a key"),
            (dict[str | None, int], "none cannot be a key"),
            (object, "not a type that JSON can hold"),
            (str | date, "more than one str-like type"),
            (Decimal | str, "more than one str-like type"),
        ],
    )
    def test_whose_values_would_not_come_back(self, kind, why):
        with pytest.raises(DefinitionError, match=why):
            thing(kind)

    def test_that_can_be_changed(self):
        class Loose(msgspec.Struct):
            number: int

        @dataclass
        class Slack:
            number: int

        for kind in (Loose, list[Loose], Slack, dict[str, Slack]):
            with pytest.raises(DefinitionError, match=r"add frozen=True to (Loose|Slack)"):
                thing(kind)

    @pytest.mark.parametrize("default", [NAN, GIANT, 1 / 3])
    def test_with_a_default_that_cannot_be_kept(self, default):
        with pytest.raises(DefinitionError, match="has the default"):

            class Thing(Aggregate):
                id: str = key()

                @event
                def acted(self, it: Decimal = default):
                    pass


def test_a_default_is_settled_and_frozen_too():
    class Thing(Aggregate):
        id: str = key()

        @event
        def acted(
            self,
            at: datetime = datetime(2024, 7, 1, tzinfo=AMSTERDAM),
            tags: list[str] = ("a",),
        ):
            pass

    message = Thing.acted.message("1")
    assert message.at.tzinfo == timezone(timedelta(hours=2))
    with pytest.raises(TypeError, match="never change"):
        message.tags.append("b")


def test_a_message_made_by_hand_is_settled_when_it_is_applied():
    owner = thing(Decimal)
    good = owner.acted.message("1", 5)
    with pytest.raises(InvalidMessage, match="finite"):
        owner("1").apply(msgspec.structs.replace(good, it=NAN))
    with pytest.raises(InvalidMessage, match="Expected `decimal`"):
        owner("1").apply(msgspec.structs.replace(good, it=[]))
    assert owner("1").apply(good).new_events == (good,)


class TestJSON:
    @pytest.mark.parametrize(
        "digits", ["0.1", "1234567890123456.78", "9007199254740993.0", "1E+5", "1" * 40 + ".5"]
    )
    def test_loses_no_digit_of_a_number_on_its_way_to_a_decimal(self, digits):
        owner = thing(Decimal)
        message = owner.acted.from_json(b'{"id": "1", "it": %b}' % digits.encode())
        assert message.it == Decimal(digits)
        deep = thing(list[Sum]).acted
        message = deep.from_json(b'{"id": "1", "it": [{"amount": %b}]}' % digits.encode())
        assert message.it[0].amount == Decimal(digits)

    def test_makes_the_same_message_as_a_dict(self):
        owner = thing(dict[str, Any])
        from_dict = owner.acted.from_dict({"id": "1", "it": {"a": 1.5, "b": [1, None]}})
        assert owner.acted.from_json(b'{"id":"1","it":{"b":[1,null],"a":1.5}}') == from_dict

    @pytest.mark.parametrize(
        ("data", "field", "reason"),
        [
            (b"", "", "JSON"),
            (b"{", "", "JSON"),
            (b"\xff", "", "JSON"),
            (b"[]", "", "Expected `object`"),
            (b'{"id":"1","it":1,"more":1}', "more", "is not a field"),
            (b'{"id":"1","it":NaN}', "", "JSON"),
            (b'{"id":"1","it":"NaN"}', "it", "finite"),
            (b'{"id":"1","it":1e400000}', "it", "digits"),
            (b'{"id":"1","it":"\\ud800"}', "it", "surrogates"),
            (b'{"id":"1","it":["\\ud800"]}', "it[0]", "surrogates"),
            (b'{"id":"1","\\ud800":1}', r"\ud800", "surrogates"),
            (b'{"id":"1","it":1,"it":1}', "it", "is there twice"),
            (b'{"id":"1","it":1,"i\\u0064":"2"}', "id", "is there twice"),
            (b'{"id":"1","it":[{"a":1,"a":2}]}', "it", "has 'a' twice"),
            (b'{"id":"1","it":' + b"9" * 5_000 + b"}", "it", "digits"),
            (b'{"id":"1","it":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "it", "nested too deeply"),
            (b'{"it" :{"a":' + b'[{"b":' * 5_000 + b"x", "it", "nested too deeply"),
            (b'{"id":"[\\"{","\\u0069t":' + b"[" * 5_000, "it", "nested too deeply"),
            (b"[" * 5_000, "", "Expected `object`"),
            (b'{"id":"1","it":{}}', "it", "Expected `decimal`"),
            (b'{"id":"1"}', "it", "is required"),
            (b'{"id":"a\\u0000","it":1}', "id", "NUL"),
            (b'{"id":"1","it":' + b"[" * 100_000, "it", "nested too deeply"),
        ],
    )
    def test_that_is_wrong_is_refused(self, data, field, reason):
        with pytest.raises(InvalidMessage, match=reason) as caught:
            thing(Decimal).acted.from_json(data)
        assert caught.value.field == field


@pytest.mark.parametrize("wrap", [list, tuple, lambda one: {"a": one[0]}, frozenset])
def test_what_is_frozen_already_is_looked_into(wrap):
    value = frozen(wrap([INFINITY]))
    with pytest.raises(Unstorable, match="finite"):
        settled(value)
    assert place_in(value) in ("[0]", "[...]")


def outcome_of(settle: Any, value: Any) -> str:
    try:
        made = settle(value)
    except Unstorable as error:
        return f"refused: {error}"
    return f"{type(made)} {made!r}"


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (str | None, [None, "a", "é", "a\0", "\ud800"]),
        (int | None, [None, 3, 10**INTEGER_DIGITS]),
        (float | None, [None, 1.5, -0.0, float("nan")]),
        (Decimal | None, [None, Decimal(1), Decimal("NaN")]),
        (
            datetime | None,
            [None, datetime(2020, 1, 1, fold=1), datetime(2020, 7, 1, tzinfo=AMSTERDAM)],
        ),
        (list[str], [[], ["a", "é"], ["a", "b\0"], ["\ud83d", "\ude00"]]),
        (list[date], [[], [date(2020, 1, 1)]]),
    ],
)
def test_what_is_planned_for_a_type_does_what_looking_at_each_value_does(
    annotation: Any, values: list[Any]
) -> None:
    planned = Kind(annotation, "field", "here").settle
    assert planned not in (None, settled)
    assert [outcome_of(planned, one) for one in values] == [
        outcome_of(settled, one) for one in values
    ]
