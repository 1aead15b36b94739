"""What this process has of an aggregate is what any other one reads from the log."""

import json
from collections import Counter, deque
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rill_django import Aggregate, Rejected, after_commit, command, event, key, upcast
from rill_django.dispatch import Dispatcher
from rill_django.domain.codec import decode_events
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import current_registry, isolated_registry
from rill_django.domain.runtime import use
from rill_django.repository import CachingRepository, Repository
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from rill_django.triggers import fire_triggers, isolated_triggers
from tests.other_process import lines_of

with isolated_registry():
    from tests.repository.wares import Ware, happenings

numbers = count()
Prices = dict[str, Decimal]


@pytest.fixture(params=[MemoryEventStore, DjangoEventStore])
def store(request: pytest.FixtureRequest, db: None, monkeypatch: Any) -> Any:
    store = request.param()
    # Callbacks of a test's transaction would never come.
    monkeypatch.setattr(store, "after_commit", lambda callback: callback())
    return store


@pytest.fixture(autouse=True)
def _wares() -> Any:
    with isolated_registry() as registry, isolated_triggers():
        registry.add(Ware, Ware.type_name)
        yield


def test_for_any_payload_and_value(store):
    caching = CachingRepository(store, [fire_triggers])
    triggered: list[Any] = []
    after_commit(*Ware.event_types())(triggered.append)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(happenings, min_size=1, max_size=3))
    def check(happened: Any) -> None:
        decision = Ware(f"{next(numbers)}")
        triggered.clear()
        for name, values in happened:
            decision = getattr(decision, name)(*values)
        result = caching.commit(decision)
        here = caching.get(Ware, decision.number)
        there = Repository(store).get(Ware, decision.number)
        messages = [
            event.message for event in decode_events(store.load(here.stream), current_registry())
        ]
        assert repr(here) == repr(there) == repr(result.aggregate)
        assert here == there == result.aggregate
        assert repr(messages) == repr([event.message for event in result.events])
        assert repr(messages) == repr([event.message for event in triggered])
        assert repr(messages) == repr(list(decision.new_events))

    check()


OTHER_PROCESS = """
import sys
from tests.repository.wares import Ware
for number in sys.stdin.read().split():
    print(ascii(Ware.get(number)))
"""


@pytest.mark.django_db(transaction=True)
def test_in_a_process_of_its_own():
    """Its texts have other hashes, so its sets another order; and it has nothing in its memory."""
    caching = CachingRepository(DjangoEventStore())
    here: dict[str, str] = {}

    @settings(max_examples=100, deadline=None)
    @given(happenings)
    def commit(happened: Any) -> None:
        name, values = happened
        number = f"other-{next(numbers)}"
        caching.commit(getattr(Ware(number), name)(*values))
        here[number] = ascii(caching.get(Ware, number))

    commit()
    caching.commit(Ware("default").defaulted())
    here["default"] = ascii(caching.get(Ware, "default"))
    lines = lines_of(OTHER_PROCESS, given=" ".join(here))
    assert lines == list(here.values())


def test_a_decision_that_depends_on_a_time_zone(store):
    class Contract(Aggregate, name="wares.Contract"):
        number: str = key()
        ends: datetime | None = None

        @event
        def signed(self, at: datetime):
            return self.evolve(ends=at + timedelta(days=200))

        @command
        def sign(self, at: datetime):
            return self.signed(at)

        @command
        def renew(self, at: datetime):
            return self.reject("too-late") if at > self.ends else self.signed(at)

    winter = datetime(2025, 1, 10, 12, tzinfo=ZoneInfo("Europe/Amsterdam"))
    with use(Dispatcher(CachingRepository(store))):
        Contract.sign.transact("1", at=winter).unwrap()
        here = Contract.get("1")
    there = Repository(store).get(Contract, "1")
    late = (here.ends + timedelta(minutes=30)).astimezone(timezone.utc)
    assert here.ends == there.ends
    assert isinstance(here.renew(late), Rejected)
    assert isinstance(there.renew(late), Rejected)


def test_with_upcasters_for_the_events_that_are_just_committed(store):
    class Tally(Aggregate, name="wares.Tally"):
        number: str = key()
        sums: tuple[int, ...] = ()

        @event
        def added(self, amount: int):
            return self.evolve(sums=(*self.sums, amount))

    @upcast("wares.Tally.added")
    def was_two_halves(event):
        half = event.data["amount"] // 2
        return [event.with_data(amount=half), event.with_data(amount=half)]

    caching = CachingRepository(store)
    before = caching.commit(Tally("1").added(2)).unwrap()
    result = caching.commit(before.added(6))
    assert [event.amount for event in result.events] == [3, 3]
    for seen in (result.aggregate, caching.get(Tally, "1"), Repository(store).get(Tally, "1")):
        assert (seen.sums, seen.version) == ((1, 1, 3, 3), 1)


def test_a_number_keeps_its_digits_on_its_way_through_an_upcaster(store):
    class Till(Aggregate, name="wares.Till"):
        number: str = key()
        amounts: tuple[Any, ...] = ()

        @event
        def counted(self, amount: Decimal, share: float = 0.0, what: Any = None):
            return self.evolve(amounts=(amount, share, what))

    data = b'{"number":"1","amount":1234567890123456.78,"share":0.1000000000000000055,"what":1.5}'
    store.append("wares.Till/1", -1, [NewEvent("wares.Till.counted", data)])
    expected = (Decimal("1234567890123456.78"), 0.1, 1.5)
    assert Repository(store).get(Till, "1").amounts == expected
    upcast("wares.Till.counted")(lambda event: event)
    found = Repository(store).get(Till, "1").amounts
    assert found == expected
    assert list(map(type, found)) == [Decimal, float, float]


class TestNobodyChanges:
    @pytest.fixture
    def basket(self):
        class Basket(Aggregate, name="wares.Basket"):
            number: str = key()
            goods: tuple[str, ...] | list[str] = ()
            prices: dict[str, Decimal] = msgspec.field(default_factory=dict)
            tags: Any = None

            @event
            def filled(self, goods: list[str], prices: Prices | None = None, tags: set[str] = ()):
                prices = {**self.prices, **(prices or {})}
                return self.evolve(goods=goods, prices=prices, tags=tags)

            @event
            def added(self, what: str):
                return self.evolve(goods=[*self.goods, what])

            @event
            def spoilt(self):
                self.goods.append("mould")
                return self

            @command
            def fill(self, goods: list[str]):
                return self.filled(goods)

            @command
            def add(self, what: str):
                return self.added(what)

            @command
            def try_cheapest(self):
                cheapest = sorted(self.goods)[1:]
                return self.reject("too-cheap", goods=cheapest, all=self.goods)

            @command
            def sort(self):
                self.goods.sort()
                return self.reject("sorted")

            @command
            def shrink(self):
                return self.evolve(goods=[])

            @command
            def shrink_afterwards(self):
                return self.added("fig").evolve(goods=[])

            @command
            def shrink_before(self):
                return self.evolve(goods=[]).added("fig")

        return Basket

    @pytest.fixture
    def runtime(self, store):
        with use(Dispatcher(CachingRepository(store))) as runtime:
            yield runtime

    def test_the_state_that_is_kept_in_the_cache(self, runtime, basket, store):
        basket.fill.transact("1", goods=["pear", "apple", "fig"]).unwrap()
        for _ in range(2):
            rejected = basket.try_cheapest.transact("1")
            assert rejected.data["goods"] == ["fig", "pear"]
            with pytest.raises(TypeError, match="never change"):
                basket.sort.transact("1")
            there = Repository(store).get(basket, "1")
            assert basket.get("1").goods == there.goods == ["pear", "apple", "fig"]
            with pytest.raises(TypeError, match="never change"):
                there.sort()

    def test_anything_that_is_handed_out(self, runtime, basket, store):
        decision = basket("1").filled(["b", "a"], {"b": Decimal(1)}, {"x"})
        result = runtime.commit(decision, metadata={"roles": ["clerk"]})
        (recorded,) = result.events
        rejected = result.aggregate.try_cheapest()
        (read,) = store.read()
        (got,) = runtime.get_all([basket("1")])
        for change in (
            *(lambda it=it: it.append("c") for it in (decision.goods, result.aggregate.goods)),
            *(lambda it=it: it.append("c") for it in (got.goods, basket.get("1").goods)),
            *(
                lambda it=it: it.append("c")
                for it in (decision.new_events[0].goods, recorded.goods)
            ),
            lambda: recorded.prices.clear(),
            lambda: recorded.tags.add("y"),
            lambda: result.aggregate.prices.update(c=1),
            lambda: basket("2").prices.update(c=1),
            lambda: recorded.metadata["roles"].append("boss"),
            lambda: rejected.data["all"].clear(),
            lambda: rejected.data.clear(),
            lambda: (
                read.message.goods.clear()
                if hasattr(read, "message")
                else basket.get("1").goods.clear()
            ),
        ):
            with pytest.raises(TypeError, match="never change"):
                change()
        recorded.metadata["actor"] = "mallory"  # One's own.
        assert recorded.metadata == {"roles": ["clerk"]}
        assert basket.get("1").goods == Repository(store).get(basket, "1").goods == ["b", "a"]

    def test_what_was_given_belongs_to_the_giver(self, runtime, basket):
        goods, tags = ["b"], {"x"}
        decision = basket("1").filled(goods, {}, tags)
        goods.append("c")
        tags.add("y")
        assert runtime.commit(decision).unwrap().goods == ["b"]
        assert basket.get("1").tags == {"x"}

    def test_an_event_method_changes_nothing_in_place(self, basket):
        with pytest.raises(TypeError, match="never change"):
            basket("1").filled(["a"]).spoilt()
        assert basket("1").filled(["a"]).added("b").goods == ["a", "b"]

    @pytest.mark.parametrize("name", ["shrink", "shrink_afterwards", "shrink_before"])
    def test_a_command_changes_nothing_but_by_events(self, runtime, basket, store, name):
        basket.fill.transact("1", goods=["a"]).unwrap()
        with pytest.raises(TypeError, match="changed its aggregate by evolve"):
            getattr(basket, name).transact("1")
        with pytest.raises(ValueError, match="changed by evolve"):
            runtime.commit(basket.get("1").evolve(goods=[]))
        with pytest.raises(ValueError, match="changed by evolve"):
            runtime.update(basket.get("1").evolve(goods=[]))
        assert basket.get("1").goods == Repository(store).get(basket, "1").goods == ["a"]

    def test_but_may_try_something_out(self, runtime, basket):
        account = basket("1").filled(["a"])
        assert account.evolve(goods=[]).goods == []
        assert account.goods == ["a"]


class Register:
    """A mutable object of somebody's own."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Register) and other.entries == self.entries

    __hash__ = None


class TestAnObjectThatCannotBeFrozen:
    @pytest.fixture
    def guestbook(self):
        class Guestbook(Aggregate, name="wares.Guestbook"):
            number: str = key()
            register: Any = Register()
            last: Any = deque()
            counts: Any = None

            @event
            def signed(self, name: str):
                register = Register()
                register.entries = [*self.register.entries, name]
                last = deque([*self.last, name], maxlen=2)
                counts = [Counter(register.entries)]
                return self.evolve(register=register, last=last, counts=counts)

            @command
            def sign(self, name: str):
                return self.signed(name)

            @command
            def tear_out(self):
                self.register.entries.clear()
                self.last.clear()
                self.counts[0].clear()
                return self.reject("no")

        return Guestbook

    def test_is_copied_for_everybody_who_gets_it(self, guestbook, store):
        with use(Dispatcher(CachingRepository(store))):
            given = guestbook.sign.transact("1", "ann").unwrap()
            given.register.entries.clear()
            guestbook.get("1").last.clear()
            assert guestbook.tear_out.transact("1").reason == "no"
            guestbook.sign.transact("1", "bob").unwrap()
            assert guestbook.tear_out.transact("1").reason == "no"
            here, there = guestbook.get("1"), Repository(store).get(guestbook, "1")
            assert here == there
            assert here.register.entries == list(here.last) == ["ann", "bob"]

    def test_is_none_of_the_class_when_it_is_a_default(self, guestbook):
        guestbook("1").register.entries.append("eve")
        guestbook("1").last.append("eve")
        assert guestbook("2").register.entries == []
        assert guestbook("2").last == deque()

    def test_is_not_kept_if_it_cannot_be_copied(self, store):
        class Lock:
            def __deepcopy__(self, memo: Any) -> Any:
                raise TypeError("cannot be copied")

        class Holder(Aggregate, name="wares.Holder"):
            number: str = key()
            lock: Any = None

            @event
            def taken(self):
                return self.evolve(lock=Lock())

        caching = CachingRepository(store)
        first = caching.commit(Holder("1").taken()).unwrap()
        assert len(caching) == 0
        assert caching.get(Holder, "1").lock is not first.lock


def test_a_large_state_is_handed_out_as_it_is(store):
    """What is frozen is copied by nobody, so a large one costs a command nothing."""

    class Hall(Aggregate, name="wares.Hall"):
        number: str = key()
        seats: dict[str, list[str]] = msgspec.field(default_factory=dict)

        @event
        def seated(self, seats: dict[str, list[str]]):
            return self.evolve(seats=seats)

    caching = CachingRepository(store)
    caching.commit(Hall("1").seated({str(number): ["ann"] for number in range(1000)}))
    one, other = caching.get(Hall, "1"), caching.get(Hall, "1")
    assert one.seats is other.seats
    assert json.loads(json.dumps(one.seats)) == one.seats
