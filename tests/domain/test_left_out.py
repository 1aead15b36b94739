"""A renamed event or aggregate loses no history in silence: what no code knows is refused, or named."""

import copy
import pickle
from types import SimpleNamespace

import pytest

from rill_django import Aggregate, DefinitionError, UnknownEvents, command, event, key, upcast
from rill_django.domain import left_out
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import isolated_registry
from rill_django.testing import memory_runtime

TOUCHED = NewEvent("bank.Account.touched", b'{"number": "1"}')
ADDED = NewEvent("bank.Account.added", b'{"number": "1", "amount": 5}')
GRANTED = NewEvent("bank.Card.granted", b'{"account": "1", "amount": 7}')


def bank():
    """Define today's code, in which `added` and `touched` are not."""

    class Account(Aggregate, name="bank.Account"):
        number: str = key()
        balance: int = 0

        @event
        def deposited(self, amount: int) -> "Account":
            return self.evolve(balance=self.balance + amount)

        @command
        def deposit(self, amount: int) -> "Account":
            return self.deposited(amount)

        @command
        def leave(self) -> "Account":
            return self

    class Card(Aggregate, name="bank.Card"):
        account: str = key()
        limit: int = 0

        @event
        def granted(self, amount: int) -> "Card":
            return self.evolve(limit=amount)

        @command
        def grant(self) -> "Card":
            return self.granted(self.read(Account, self.account).balance)

    return SimpleNamespace(Account=Account, Card=Card)


@pytest.fixture
def runtime():
    with memory_runtime() as runtime:
        yield runtime


@pytest.fixture
def store(runtime):
    return runtime.repository.store


@pytest.fixture
def passed_over():
    names = set()
    before = left_out._passed_over
    left_out.set_passed_over(names.__contains__)
    yield names
    left_out.set_passed_over(before)


def test_what_is_read_tells_what_it_has_left_out(store):
    code = bank()
    code.Account.deposit.transact("1", 20).unwrap()
    store.append("bank.Account/1", 0, [ADDED, TOUCHED, ADDED])
    account = code.Account.get("1")
    assert (account.balance, account.version) == (20, 3)
    assert account.unknown_events == ("bank.Account.added", "bank.Account.touched")
    assert account.evolve(balance=3).unknown_events == account.unknown_events
    assert pickle.loads(pickle.dumps(UnknownEvents("s", ("a", "b")))).types == ("a", "b")
    assert copy.deepcopy(account) == account


def test_nothing_is_decided_upon_it_and_nothing_stored(runtime, store):
    code = bank()
    store.append("bank.Account/1", -1, [ADDED])
    message = code.Account.deposit.message("1", 5)
    for decide in (
        lambda: code.Account.deposit.transact("1", 5),
        lambda: code.Account.leave.transact("1"),
        lambda: code.Account.get("1").deposit(5),
        lambda: runtime.transact(message, idempotency_key="k"),
        lambda: runtime.commit(code.Account.get("1").deposited(5)),
        lambda: runtime.commit_all([code.Account.get("1").deposited(5)]),
        lambda: runtime.commit_all(
            [one.deposited(5) for one in runtime.get_all([code.Account("1")])]
        ),
        lambda: code.Card.grant.transact("1"),  # It reads the account.
    ):
        with pytest.raises(UnknownEvents) as refused:
            decide()
        assert refused.value.stream == "bank.Account/1"
        assert refused.value.types == ("bank.Account.added",)
        for cure in (
            "@event(name='bank.Account.added')",
            "@upcast('bank.Account.added')",
            "ignores",
        ):
            assert cure in str(refused.value)
    assert store.head() == 1


def test_others_go_on(store):
    code = bank()
    store.append("bank.Account/1", -1, [ADDED])
    assert code.Account.deposit.transact("2", 5).unwrap().balance == 5


@pytest.mark.parametrize("ignores", [("bank.Account.touched",), ("touched",), ["touched", "x.y"]])
def test_what_the_class_ignores_is_passed_over(store, ignores):
    kept = ignores

    class Account(Aggregate, name="bank.Account"):
        number: str = key()
        ignores = kept
        balance: int = 0

        @event
        def deposited(self, amount: int) -> "Account":
            return self.evolve(balance=self.balance + amount)

    store.append("bank.Account/1", -1, [TOUCHED])
    account = Account.get("1")
    assert account.unknown_events == ()
    assert account.deposited(5).balance == 5
    store.append("bank.Account/1", 0, [ADDED])
    assert Account.get("1").unknown_events == ("bank.Account.added",)


def test_bases_pass_on_what_they_ignore(store):
    class Touchable(Aggregate, abstract=True):
        ignores = ("touched",)

    class Account(Touchable, name="bank.Account"):
        number: str = key()
        ignores = ("seen",)

    assert Account.ignored_types() == {"bank.Account.touched", "bank.Account.seen"}
    store.append("bank.Account/1", -1, [TOUCHED])
    assert Account.get("1").unknown_events == ()


@pytest.mark.parametrize("name", ["bank.Account.added", "bank.Account"])
def test_what_the_project_passes_over(store, passed_over, name):
    code = bank()
    store.append("bank.Account/1", -1, [ADDED])
    with pytest.raises(UnknownEvents):
        code.Account.deposit.transact("1", 5)
    passed_over.add(name)
    assert code.Account.get("1").unknown_events == ("bank.Account.added",)
    assert code.Account.deposit.transact("1", 5).unwrap().balance == 5


def test_an_upcaster_makes_it_known(store):
    code = bank()

    @upcast("bank.Account.added")
    def renamed(raw):
        return raw.renamed("bank.Account.deposited")

    store.append("bank.Account/1", -1, [ADDED])
    assert code.Account.deposit.transact("1", 5).unwrap().balance == 10


def test_an_upcaster_that_drops_it_or_moves_it_to_another_aggregate(store):
    code = bank()

    @upcast("bank.Account.added", "bank.Account.touched")
    def moved(raw):
        if "amount" not in raw.data:
            return None
        return raw.renamed("bank.Card.granted").with_data(account=raw.data["number"])

    store.append("bank.Account/1", -1, [ADDED, TOUCHED])
    assert code.Account.get("1").unknown_events == ()


def test_an_upcaster_with_a_slip_in_it(store):
    code = bank()

    @upcast("bank.Account.added")
    def renamed(raw):
        return raw.renamed("bank.Account.depositd")

    store.append("bank.Account/1", -1, [ADDED])
    with pytest.raises(UnknownEvents, match="depositd"):
        code.Account.deposit.transact("1", 5)


def test_an_event_of_another_aggregate_is_not_known_here(store):
    code = bank()
    store.append("bank.Account/1", -1, [GRANTED])
    with pytest.raises(UnknownEvents, match=r"bank\.Card\.granted"):
        code.Account.deposit.transact("1", 5)


@pytest.mark.parametrize("wrong", ["bank.Account.touched", 3, (3,), ("a b",), None])
def test_what_ignores_must_not_be(wrong):
    with isolated_registry(), pytest.raises(DefinitionError):

        class Account(Aggregate):
            number: str = key()
            ignores = wrong


def test_an_event_cannot_be_ignored_by_its_own_class():
    with isolated_registry(), pytest.raises(DefinitionError, match="Take it out of ignores"):

        class Account(Aggregate):
            number: str = key()
            ignores = ("opened",)

            @event
            def opened(self) -> "Account": ...


def test_ignores_is_no_field():
    with isolated_registry(), pytest.raises(DefinitionError, match="ignores"):

        class Account(Aggregate):
            number: str = key()
            ignores: tuple[str, ...] = ("opened",)
