# ruff: noqa: DTZ001 - a time without a zone is a value, too
"""Payloads of every kind, and values for them: what tests of reloading commit."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from rill_django import Aggregate, event, key


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Line(msgspec.Struct, frozen=True):
    sku: str
    prices: list[Decimal] = []
    at: datetime | None = None


@dataclass(frozen=True)
class Place:
    names: dict[str, str]
    height: float = 0.0


class Pair(NamedTuple):
    left: int
    right: set[str]


class Row(TypedDict):
    amount: Decimal
    labels: list[str]


ZONES = [timezone.utc, *map(ZoneInfo, ("Europe/Amsterdam", "Asia/Kathmandu", "America/New_York"))]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
whole = st.integers(-(10**30), 10**30)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda one: -90 < one.adjusted() < 90 and len(one.as_tuple().digits) <= 100
)
days = st.dates()
_FIRST, _LAST = datetime(3, 1, 1), datetime(9990, 1, 1)
moments = st.datetimes(_FIRST, _LAST) | st.datetimes(
    _FIRST, _LAST, timezones=st.sampled_from(ZONES), allow_imaginary=True
)
fixed = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.times() | st.times(timezones=fixed)
anything = st.recursive(
    st.none() | st.booleans() | whole | floats | texts | decimals | moments | st.binary(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.lists(inside, max_size=3).map(tuple)
        | st.dictionaries(texts | st.integers(-5, 5), inside, max_size=3)
        | st.sets(texts | whole, max_size=3)
    ),
    max_leaves=6,
).filter(lambda value: not _has_one_key_twice(value))
lines = st.builds(Line, texts, st.lists(decimals, max_size=3), st.none() | moments)


def _has_one_key_twice(value: Any) -> bool:
    if isinstance(value, dict):
        return len(set(map(str, value))) < len(value) or any(
            map(_has_one_key_twice, value.values())
        )
    return isinstance(value, (list, tuple)) and any(map(_has_one_key_twice, value))


class Ware(Aggregate, name="wares.Ware"):
    """Keeps of an event what it says, and what somebody who looks closely can see of it."""

    number: str = key()
    seen: Any = None
    looks: str = ""
    order: tuple[str, ...] = ()
    sums: list[Any] = msgspec.field(default_factory=list)

    def with_(self, it: Any) -> Ware:
        parts = it if isinstance(it, (list, tuple, dict, set, frozenset)) else ()
        return self.evolve(
            seen=it,
            looks=f"{type(it).__name__} {it!r}",
            order=tuple(map(repr, parts)),
            sums=[*self.sums, it],
        )

    @event
    def text(self, it: str) -> Ware:
        return self.with_(it)

    @event
    def number_(self, it: int) -> Ware:
        return self.with_(it)

    @event
    def share(self, it: float) -> Ware:
        return self.with_(it)

    @event
    def amount(self, it: Decimal) -> Ware:
        return self.with_(it)

    @event
    def some_number(self, it: int | float) -> Ware:
        return self.with_(it)

    @event
    def some_amount(self, it: int | Decimal | None) -> Ware:
        return self.with_(it)

    @event
    def moment(self, it: datetime) -> Ware:
        # The reckoning that goes another way across a change of the clocks.
        return self.with_(it).evolve(looks=repr(it + timedelta(days=200)))

    @event
    def time_of_day(self, it: time) -> Ware:
        return self.with_(it)

    @event
    def duration(self, it: timedelta) -> Ware:
        return self.with_(it)

    @event
    def day(self, it: date | None) -> Ware:
        return self.with_(it)

    @event
    def id(self, it: UUID) -> Ware:
        return self.with_(it)

    @event
    def content(self, it: bytes) -> Ware:
        return self.with_(it)

    @event
    def colour(self, it: Colour) -> Ware:
        return self.with_(it)

    @event
    def rights(self, it: Rights) -> Ware:
        return self.with_(it)

    @event
    def line(self, it: Line | None) -> Ware:
        return self.with_(it)

    @event
    def place(self, it: Place) -> Ware:
        return self.with_(it)

    @event
    def pair(self, it: Pair) -> Ware:
        return self.with_(it)

    @event
    def row(self, it: Row) -> Ware:
        return self.with_(it)

    @event
    def lines(self, it: list[Line]) -> Ware:
        return self.with_(it)

    @event
    def amounts(self, it: tuple[Decimal, ...]) -> Ware:
        return self.with_(it)

    @event
    def tags(self, it: set[str]) -> Ware:
        return self.with_(it)

    @event
    def amounts_once(self, it: frozenset[Decimal]) -> Ware:
        return self.with_(it)

    @event
    def places(self, it: frozenset[tuple[int, str]]) -> Ware:
        return self.with_(it)

    @event
    def counts(self, it: dict[str, int]) -> Ware:
        return self.with_(it)

    @event
    def by_number(self, it: dict[int, list[str]]) -> Ware:
        return self.with_(it)

    @event
    def by_moment(self, it: dict[datetime, Decimal]) -> Ware:
        return self.with_(it)

    @event
    def by_amount(self, it: dict[Decimal, set[int]]) -> Ware:
        return self.with_(it)

    @event
    def by_share(self, it: dict[float, int]) -> Ware:
        return self.with_(it)

    @event
    def by_any(self, it: dict[int | str, float]) -> Ware:
        return self.with_(it)

    @event
    def anything(self, it: Any) -> Ware:
        return self.with_(it)

    @event
    def details(self, it: dict[str, Any], more: list[Any]) -> Ware:
        return self.with_(it).with_(more)

    @event
    def defaulted(self, it: list[int] = (1, 2), at: datetime = datetime(2024, 7, 1)) -> Ware:
        return self.with_(it).with_(at)


VALUES: dict[str, Any] = {
    "text": texts,
    "number_": whole,
    "share": floats,
    "amount": decimals,
    "some_number": whole | floats,
    "some_amount": whole | decimals | st.none(),
    "moment": moments,
    "time_of_day": times,
    "duration": st.timedeltas(),
    "day": days | st.none(),
    "id": st.uuids(),
    "content": st.binary(max_size=10),
    "colour": st.sampled_from(Colour),
    "rights": st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE, Rights(0)]),
    "line": lines | st.none(),
    "place": st.builds(Place, st.dictionaries(texts, texts, max_size=4), floats),
    "pair": st.builds(Pair, whole, st.sets(texts, max_size=4)),
    "row": st.fixed_dictionaries({"labels": st.lists(texts, max_size=3), "amount": decimals}),
    "lines": st.lists(lines, max_size=3),
    "amounts": st.lists(decimals, max_size=4).map(tuple),
    "tags": st.sets(texts, max_size=6),
    "amounts_once": st.frozensets(decimals, max_size=4),
    "places": st.frozensets(st.tuples(whole, texts), max_size=4),
    "counts": st.dictionaries(texts, whole, max_size=5),
    "by_number": st.dictionaries(whole, st.lists(texts, max_size=2), max_size=5),
    "by_moment": st.dictionaries(
        st.datetimes(_FIRST, _LAST, timezones=st.sampled_from(ZONES)), decimals, max_size=3
    ),
    "by_amount": st.dictionaries(decimals, st.sets(whole, max_size=3), max_size=4),
    "by_share": st.dictionaries(floats, whole, max_size=4),
    "by_any": st.dictionaries(st.integers(-9, 9) | st.sampled_from("abc"), floats, max_size=4),
    "anything": anything,
}
"""By the event's method: values that it takes."""

happenings = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.just(name), st.tuples(VALUES[name]))
) | st.tuples(
    st.just("details"),
    st.tuples(st.dictionaries(texts, anything, max_size=3), st.lists(anything, max_size=2)),
)
"""Events as a name and arguments."""
