"""What a newcomer writes, and what it says."""

import inspect

import pytest
from django.template import Context, Template

from rill_django import Aggregate, DefinitionError, Ok, command, commit, event, key
from rill_django.domain.registry import isolated_registry
from rill_django.testing import memory_runtime

with isolated_registry():

    class Account(Aggregate, name="bank.Account"):
        bank: str = key()
        number: str = key()
        balance: int = 0
        limit = 5

        @event
        def deposited(self, amount: int, note: str = "") -> "Account":
            return self.evolve(balance=self.balance + amount)

        @event
        def withdrawn(self, amount: int) -> "Account":
            return self.evolve(balance=self.balance - amount) if amount <= self.balance else None

        @event
        def noted(self) -> "Account | None":
            pass

        @event
        def refused(self) -> None:
            return self.reject("no")

        @event
        def misspelt(self) -> "Account":
            return self.evolve(balace=1)

        @event
        def limited(self) -> "Account":
            return self.evolve(limit=6)

        @event
        def moved(self) -> "Account":
            return self.evolve(number="2")

        @event
        def set(self, amount: int) -> None:
            self.balance = amount

        @command
        def deposit(self, amount: int, note: str = "") -> "Account":
            return self.deposited(amount, note)

        @command
        def nothing(self) -> "Account":
            pass


def said(function, *args, **kwargs):
    """What an error says."""
    with pytest.raises((TypeError, AttributeError)) as error:
        function(*args, **kwargs)
    return f"{error.type.__name__}: {error.value}"


@pytest.fixture
def account():
    return Account("b", "1")


TRANSACT = "To fetch, decide and commit: Account.deposit.transact(bank, number, amount, note)."
DECIDE = "Account.get(bank, number).deposit(amount, note)"


class TestCalls:
    def test_of_a_command_on_the_class(self):
        for args in (("b", "1", 5), (), (Account("b", "1"), 5)):
            assert said(Account.deposit, *args) == (
                "Misuse: Account.deposit is a command type, and was called on no aggregate. "
                f"{TRANSACT} To decide only: {DECIDE}. As data: "
                "Account.deposit.message(bank, number, amount, note)."
            )

    def test_of_an_event_on_the_class(self):
        assert said(Account.deposited, "b", "1", 5) == (
            "Misuse: Account.deposited is an event type, and was called on no aggregate. To apply it as a "
            "new event, in a command: self.deposited(amount, note). As data: "
            "Account.deposited.message(bank, number, amount, note)."
        )

    def test_of_transact_on_the_method_of_an_aggregate(self, account):
        assert said(account.deposit.transact, 5) == (
            "Misuse: transact belongs to the command type Account.deposit, and was called on "
            "the method of "
            f"an aggregate. {TRANSACT} To store what a fetched one decides: commit({DECIDE})."
        )
        assert said(account.deposited.transact, 5) == (
            "Misuse: transact belongs to the event type Account.deposited, and was called on "
            "the method of "
            "an aggregate. Events are stored by a command that returns self.deposited(amount, note)."
        )

    def test_of_message_on_the_method_of_an_aggregate(self, account):
        assert said(account.deposit.message, 5) == (
            "Misuse: message belongs to the command type Account.deposit, and was called on the method of "
            "an aggregate. Write: Account.deposit.message(bank, number, amount, note)."
        )
        assert said(account.noted.message) == (
            "Misuse: message belongs to the event type Account.noted, and was called on the method of an "
            "aggregate. Write: Account.noted.message(bank, number)."
        )
        assert said(account.noted.from_dict, {}) == (
            "Misuse: from_dict belongs to the event type Account.noted, and was called on the "
            "method of an "
            "aggregate. Write: Account.noted.from_dict(…)."
        )

    def test_of_transact_on_an_event_type(self):
        assert said(lambda: Account.deposited.transact("b", "1", 5)) == (
            "AttributeError: EventType has no attribute 'transact'. Commands are carried out: write one that "
            "returns self.<event>(…), and send that."
        )

    def test_on_the_aggregate_of_what_is_not_there(self, account):
        for one in (Account, account):
            assert said(lambda one=one: one.transact("b", "1", 5)) == (
                "AttributeError: Account has no attribute 'transact'. A command is what is carried out: "
                "Account.<command>.transact(…)."
            )
            assert said(lambda one=one: one.commit()) == (
                "AttributeError: Account has no attribute 'commit'. Write: commit(aggregate); or at once "
                "Account.<command>.transact(…)."
            )
            assert said(lambda one=one: one.save()) == (
                "AttributeError: Account has no attribute 'save'. Only events are stored. Write: "
                "commit(aggregate), or Account.<command>.transact(…)."
            )
            assert said(lambda one=one: one.objects) == (
                "AttributeError: Account has no attribute 'objects'. Aggregates are reached by their key: "
                "Account.get(…). For queries, have a projection keep a model."
            )
            assert not hasattr(one, "save")

    def test_which_are_free_for_a_domain_of_that_kind(self):
        class File(Aggregate):
            path: str = key()
            objects: tuple[str, ...] = ()

            @event
            def save(self, one: str) -> "File":
                return self.evolve(objects=(*self.objects, one))

            @command
            def commit(self) -> "File":
                return self.save("x")

        assert File("a").commit().objects == ("x",)

    def test_that_are_right_look_like_the_method(self, account):
        assert (
            str(inspect.signature(account.deposit)) == "(amount: int, note: str = '') -> 'Account'"
        )
        assert account.deposit.__name__ == "deposit"


class TestAnEvent:
    def test_that_returns_nothing_though_it_says_so(self, account):
        assert said(account.withdrawn, 5) == (
            "Misuse: The event method bank.Account.withdrawn returned nothing, and is annotated "
            "-> Account. "
            "Write: return self.evolve(…), or return self where it changes nothing. One that never changes "
            "anything is annotated -> None."
        )
        assert account.deposited(5).withdrawn(5).balance == 0
        assert account.noted().uncommitted

    @pytest.mark.parametrize(
        ("annotation", "may"),
        [
            (inspect.Signature.empty, True),
            (None, True),
            ("None", True),
            ("Account | None", True),
            ("Optional[Nowhere]", True),
            ("'Self'", False),
            ("Nowhere", False),
            (Account, False),
            (object, True),
            (Account | None, True),
        ],
    )
    def test_may_return_nothing_if_it_says_so(self, annotation, may):
        def happened(self):
            pass

        if annotation is not inspect.Signature.empty:
            happened.__annotations__["return"] = annotation

        class Thing(Aggregate):
            number: str = key()

        namespace = {"__module__": __name__, "__qualname__": "Other", "happened": event(happened)}
        namespace |= {"__annotations__": {"number": str}, "number": key()}
        other = type(Aggregate)("Other", (Aggregate,), namespace)("1")
        if may:
            assert other.happened().uncommitted
        else:
            assert said(other.happened).startswith(
                "Misuse: The event method tests.Other.happened returned"
            )

    def test_that_rejects(self, account):
        assert said(account.refused) == (
            "Misuse: The event method bank.Account.refused rejects. An event is what has happened, and "
            "nobody can reject it: reject in the command, before it applies the event."
        )

    def test_that_changes_what_there_is_not(self, account):
        assert said(account.misspelt) == (
            "Misuse: Account has no field 'balace'; it has balance. Did you mean 'balance'?"
        )
        assert said(account.limited) == (
            "Misuse: Account: 'limit' is no field, since it has no type. Write in the class: limit: … = …"
        )
        assert said(account.moved) == "Misuse: Account: key properties never change: bank, number"
        assert said(account.evolve, _version=4) == (
            "Misuse: Account: _version, _new_events, _unknown_events, _evolved follow the events"
        )

    def test_that_sets_a_field(self, account):
        expected = (
            "AttributeError: Account never changes, so its 'balance' cannot be set. In an event "
            "method, write: "
            "return self.evolve(balance=…). A command returns what its events make."
        )
        assert said(account.set, 5) == expected
        assert said(setattr, account, "balance", 5) == expected
        assert said(delattr, account, "balance") == expected

    @pytest.mark.parametrize("mark", [event, command])
    def test_or_a_command_that_never_runs(self, mark):
        async def act(self):
            pass

        def make(self):
            yield self

        name = f"{__name__}.TestAnEvent.test_or_a_command_that_never_runs.<locals>".removeprefix(
            f"{__name__}."
        )
        for method, kind in ((act, "async"), (make, "a generator")):
            with pytest.raises(DefinitionError) as refused:
                mark(method)
            assert str(refused.value) == (
                f"@{mark.__name__}: {name}.{method.__name__} is {kind}, so that calling it would not run it. "
                "Make it a plain method, which does its work at once."
            )


def test_what_is_right_goes_through(registry):
    registry.add(Account, Account.type_name)
    with memory_runtime():
        match commit(Account("b", "1").deposit(5)):
            case Ok(aggregate):
                assert aggregate.balance == 5


def test_a_template_does_not_call_a_type(account):
    shown = Template("{{ one }} {{ one.name }}").render(Context({"one": Account.deposit}))
    assert shown == "&lt;CommandType bank.Account.deposit&gt; bank.Account.deposit"
