"""A repeated answer is equal to the first, types and order included, in this process and in any other."""

import enum
import json
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given, settings
from hypothesis import strategies as st

from rill_django import InvalidMessage, Ok, metadata
from rill_django.dispatch import Dispatcher
from rill_django.domain.registry import isolated_registry
from rill_django.repository import Repository
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from tests.other_process import lines_of
from tests.repository import wares

with isolated_registry():
    from tests.halls import ANSWERS, Colour, Hall, Place, Rights, Seat, Show, Why

pytestmark = pytest.mark.django_db

numbers = count()
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SEATS = frozenset({"pear", "fig", "apple", "kiwi", "plum"})


@pytest.fixture(autouse=True)
def _halls():
    with isolated_registry() as registry:
        registry.add(Hall, Hall.type_name)
        yield


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def dispatcher(request):
    return Dispatcher(Repository(request.param()))


def typed(value, *, in_order=True):
    """Return a value with the types of all that is in it, in the order that it is shown in."""

    def inside(values):
        return [typed(one, in_order=in_order) for one in values]

    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, dict):
        return dict, list(zip(inside(value), inside(value.values()), strict=True))
    if isinstance(value, list):
        return list, inside(value)
    for kind in (set, frozenset):
        if isinstance(value, kind):
            items = inside(value)
            return kind, items if in_order else sorted(items, key=repr)
    if isinstance(value, tuple):
        return type(value), inside(value)
    if hasattr(value, "__struct_fields__"):
        return type(value), inside(getattr(value, one) for one in value.__struct_fields__)
    if hasattr(value, "__dataclass_fields__"):
        return type(value), inside(getattr(value, one.name) for one in fields(value))
    return type(value), repr(value)


def asked_twice(dispatcher, **data):
    name = f"hall-{next(numbers)}"
    ANSWERS[name] = data
    message = Hall.enter.message(name)
    first = dispatcher.transact(message, idempotency_key=f"key-{name}")
    del ANSWERS[name]  # From here on nobody can decide.
    again = dispatcher.transact(message, idempotency_key=f"key-{name}")
    assert (first.is_repetition, again.is_repetition) == (False, True)
    return first, again


KINDS = {
    "decimal": Decimal("5.00"),
    "date": date(2026, 11, 28),
    "moment": datetime(2026, 11, 28, 12, 30, 0, 5, timezone.utc),
    "moment without a zone": datetime(2026, 11, 28, 12),  # noqa: DTZ001
    "offset": datetime(2026, 11, 28, 12, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    "time": time(9, 5),
    "duration": timedelta(days=-3, seconds=5, microseconds=7),
    "uuid": UUID(int=7),
    "bytes": b"\x00\xff",
    "enum": Colour.RED,
    "flags": Rights.READ | Rights.WRITE,
    "text of an enum": Why.FULL,
    "large": 10**40,
    "float": 1e22,
    "list": [1, [Decimal(1)]],
    "tuple": (1, (), (Decimal("1.0"), "x")),
    "set": set(SEATS),
    "frozenset": SEATS,
    "set of sets": {frozenset({"a", "b"}), frozenset({"c", "b"}), frozenset()},
    "set of all kinds": {1, "1", (1, "a"), None, Decimal("2.5"), date(2026, 1, 1), Colour.BLUE},
    "struct": Seat(1, Decimal("12.50"), SEATS),
    "dataclass": Show(date(2026, 1, 1), [Seat(1, Decimal(1)), Seat(2, Decimal(2))]),
    "named tuple": Place(7, "C"),
    "names": {"b": 1, "a": {"c": Decimal(1)}},
    "other keys": {
        1: "a",
        "1": "b",
        (1, 2): "c",
        date(2026, 1, 1): "d",
        Colour.RED: "e",
        None: "f",
    },
    "a mark of ours": {"$Decimal": "no number"},
    "nothing": None,
    "truth": True,
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_types_that_the_domain_gave(dispatcher, kind):
    first, again = asked_twice(dispatcher, value=KINDS[kind])
    assert first == again
    assert first.data == {"value": KINDS[kind]}
    assert typed(first.data) == typed(again.data)
    assert typed(again.data["value"], in_order=False) == typed(KINDS[kind], in_order=False)


MESSAGE = {"message": lambda: Hall.enter.message("x"), "aggregate": lambda: Hall("y")}


@pytest.mark.parametrize("kind", MESSAGE)
def test_what_the_domain_is_made_of_comes_back_too(dispatcher, kind):
    first, again = asked_twice(dispatcher, value=[MESSAGE[kind]()])
    assert first == again
    assert first.data == {"value": [MESSAGE[kind]()]}
    assert type(again.data["value"][0]) is type(MESSAGE[kind]())


@dataclass
class Plain:
    """What is equal to nothing but itself, or cannot be found by its name, is told as JSON."""

    __eq__ = object.__eq__
    number: int


def a_local_one():
    class Local(msgspec.Struct, frozen=True):
        amount: Decimal

    return Local(Decimal("1.0"))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (datetime(2026, 1, 1, tzinfo=AMSTERDAM), datetime(2026, 1, 1, tzinfo=AMSTERDAM)),
        (gettext_lazy("closed"), "closed"),
        (ValueError("too late"), "too late"),
        (range(3), "range(0, 3)"),
        (Plain(3), {"number": 3}),
        (a_local_one(), {"amount": Decimal("1.0")}),
        ({a_local_one()}, [{"amount": Decimal("1.0")}]),
        (-0.0, 0.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_come_back_is_another_value_in_the_first_answer_too(dispatcher, value, told):
    first, again = asked_twice(dispatcher, value=value)
    assert first == again
    assert first.data == {"value": told}
    assert typed(first.data) == typed(again.data)


def test_an_answer_of_an_older_release_is_what_it_was(dispatcher):
    first, _again = asked_twice(dispatcher, value=1)
    message = Hall.enter.message(first.aggregate.name)
    with dispatcher.repository.store.answers.transaction():
        dispatcher.repository.store.answers.answer(
            f"key-{first.aggregate.name}",
            b'{"version":-1,"reason":"closed","data":{"due":"2026-01-01","$ref":{"$x":1}}}',
        )
    again = dispatcher.transact(message, idempotency_key=f"key-{first.aggregate.name}")
    assert again.data == {"due": "2026-01-01", "$ref": {"$x": 1}}


@pytest.mark.parametrize("value", [float("nan"), {"a": [Decimal("Infinity")]}, "\ud800", {"\0": 1}])
def test_what_cannot_be_stored_is_an_error_that_says_where(dispatcher, value):
    with pytest.raises(InvalidMessage, match="rejection, field 'value"):
        asked_twice(dispatcher, value=value)


def test_the_aggregate_is_as_it_was_before_the_command(dispatcher):
    message = Hall.leave.message("1")
    first, again = (dispatcher.transact(message, idempotency_key="k") for _ in range(2))
    assert first == again
    assert not first.aggregate.uncommitted
    assert first.data == {"tried": True}
    assert type(first.reason) is type(again.reason)


OPENING = {
    "on": date(2026, 1, 2),
    "at": datetime(2026, 7, 1, 12, tzinfo=AMSTERDAM),
    "tags": {"b", 2, "a", 1},
    "seats": {10: Decimal("1.50"), 9: Decimal(2)},
}


def test_an_acceptance_is_equal_too_with_its_events(dispatcher):
    message = Hall.open.message("1", **OPENING)
    with metadata(reason="new season", amounts={"total": 1.5, "a": [1e22]}):
        first, again = (dispatcher.transact(message, idempotency_key="k") for _ in range(2))
    assert isinstance(first, Ok)
    assert (first.is_repetition, again.is_repetition) == (False, True)
    assert first == again
    assert hash(first.events) == hash(again.events)
    assert repr(first) == repr(again)
    assert first.events[0].metadata == again.events[0].metadata
    other = dispatcher.transact(Hall.open.message("2", **OPENING))
    assert other.events[0].message != first.events[0].message
    assert other != first


values = st.recursive(
    wares.anything
    | wares.days
    | wares.times
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(list(KINDS.values()))
    | st.builds(Seat, wares.whole, wares.decimals, st.frozensets(wares.texts, max_size=3)),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.lists(inside, max_size=3).map(tuple)
        | st.dictionaries(wares.texts | wares.days, inside, max_size=3)
    ),
    max_leaves=5,
)


def test_for_any_data(dispatcher):
    @settings(max_examples=200, deadline=None)
    @given(values)
    def check(value):
        first, again = asked_twice(dispatcher, value=value)
        assert first == again
        assert typed(first.data) == typed(again.data)

    check()


OTHER_PROCESS = """
import sys
from tests.halls import Hall
from tests.test_repeated_answers import OPENING, typed
for name in sys.stdin.read().split():
    again = Hall.enter.transact(name, idempotency_key=f"key-{name}")
    assert again.is_repetition
    print(ascii(again), ascii(typed(again.data)))
again = Hall.open.transact("other", **OPENING, idempotency_key="opened")
assert again.is_repetition
print(ascii(again))
"""


@pytest.mark.django_db(transaction=True)
def test_in_a_process_of_its_own():
    """Its texts have other hashes, so its sets another order; and it has nothing in its memory."""
    dispatcher = Dispatcher(Repository(DjangoEventStore()))
    here = {}

    def ask(value):
        first, _again = asked_twice(dispatcher, value=value)
        here[first.aggregate.name] = f"{first!a} {typed(first.data)!a}"

    settings(max_examples=100, deadline=None)(given(values)(ask))()
    for value in KINDS.values():
        ask(value)
    opened = dispatcher.transact(Hall.open.message("other", **OPENING), idempotency_key="opened")
    lines = lines_of(OTHER_PROCESS, given=" ".join(here))
    assert lines == [*here.values(), ascii(opened)]


class TestOverHTTP:
    @pytest.fixture
    def send(self, admin_client):
        def send(command, key, **fields):
            response = admin_client.post(
                f"/api/commands/tests.Hall.{command}/",
                fields,
                content_type="application/json",
                headers={"Idempotency-Key": key},
            )
            return response, response.content

        return send

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_rejection_has_the_same_body(self, send, kind):
        name = f"hall-{next(numbers)}"
        ANSWERS[name] = {"value": KINDS[kind], "inside": [KINDS[kind]]}
        first, body = send("enter", name, name=name)
        del ANSWERS[name]
        again, body_again = send("enter", name, name=name)
        assert (first.status_code, again.status_code) == (422, 422)
        assert body == body_again
        assert again.headers["Idempotency-Replayed"] == "true"

    def test_an_acceptance_has_the_same_body(self, send):
        opening = {"on": "2026-01-02", "at": "2026-07-01T12:00:00+02:00", "tags": ["b", 2, "a", 1]}
        first, body = send("open", "k", name="1", **opening, seats={"10": "1.50", "9": "2"})
        again, body_again = send("open", "k", name="1", **opening, seats={"10": "1.50", "9": "2"})
        assert (first.status_code, again.status_code) == (200, 200)
        assert body == body_again
        assert first.headers["ETag"] == again.headers["ETag"]

    @pytest.mark.parametrize("key", ["k-1", "3:k", "x" * 200, '"8e03978e"', "a\\b", "Zoë", "Ω"])
    def test_the_key_that_is_told_is_the_one_that_was_sent(self, send, key):
        in_header = key.encode().decode("latin-1")  # As servers hand it on.
        for name in ("1", "2"):
            ANSWERS[name] = {}
        send("enter", in_header, name="1")
        reused, body = send("enter", in_header, name="2")
        assert reused.status_code == 422
        told = json.loads(body)
        assert told["idempotency_key"] == key
        assert told["detail"].startswith(f"The idempotency key {key!r} was used for another")
