import copy
import pickle
import subprocess
import sys
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, ClassVar, NewType
from uuid import UUID

import msgspec
import pytest

from rill_django import (
    Aggregate,
    DefinitionError,
    InvalidMessage,
    Meta,
    Rejected,
    command,
    event,
    key,
)
from rill_django.domain.names import app_label_of
from rill_django.domain.records import UnknownEvent
from tests.domain import future
from tests.domain.shop import Account
from tests.patience import HOPE_SECONDS


class Status(Enum):
    OPEN = "open"


class TestAnEmptyAggregate:
    def test_is_described_by_its_key_by_position_or_name(self):
        assert Account("1") == Account(number="1")
        assert Account("1") != Account("2")

    def test_has_the_defaults_of_its_fields(self):
        account = Account("1")
        assert (account.number, account.owner, account.balance) == ("1", "", 0)

    def test_is_new_and_has_no_events(self):
        account = Account("1")
        assert account.is_new
        assert not account.exists
        assert not account.uncommitted
        assert account.version == -1
        assert account.new_events == ()

    @pytest.mark.parametrize(
        ("args", "kwargs", "complaint"),
        [
            ((), {}, "missing: 'number'"),
            (("1", "Ann"), {}, "takes its key properties only"),
            (("1",), {"owner": "Ann"}, "takes its key properties only"),
            (("1",), {"number": "1"}, "two values"),
        ],
    )
    def test_takes_its_key_properties_and_nothing_else(self, args, kwargs, complaint):
        with pytest.raises(TypeError, match=complaint):
            Account(*args, **kwargs)

    def test_of_an_abstract_class_there_is_none(self):
        class Base(Aggregate, abstract=True):
            number: str = key()

        for abstract in (Base, Aggregate):
            with pytest.raises(TypeError, match="is abstract"):
                abstract("1")


class TestKeys:
    @pytest.mark.parametrize(
        ("kind", "value", "stream"),
        [
            (str, "ann@home.org", "tests.Keyed/ann@home.org"),
            (int, 42, "tests.Keyed/42"),
            (int, -1, "tests.Keyed/-1"),
            (
                UUID,
                UUID("8d06d5ea-46f8-41e3-9c56-7b16c719e086"),
                "tests.Keyed/8d06d5ea-46f8-41e3-9c56-7b16c719e086",
            ),
            (date, date(2024, 2, 29), "tests.Keyed/2024-02-29"),
            (Status, Status.OPEN, "tests.Keyed/open"),
            (Annotated[str, Meta(pattern="^[0-9]+$")], "12", "tests.Keyed/12"),
            (NewType("Number", str), "12", "tests.Keyed/12"),
        ],
    )
    def test_may_be_of_these_types(self, kind, value, stream):
        class Keyed(Aggregate):
            id: kind = key()

        assert Keyed(value).id == value
        assert Keyed(value).stream == stream

    def test_are_read_from_their_texts(self):
        class Keyed(Aggregate):
            id: UUID = key()
            day: date = key()

        text = "8D06D5EA-46F8-41E3-9C56-7B16C719E086"
        assert Keyed(text, "2024-02-29") == Keyed(UUID(text), date(2024, 2, 29))

    def test_may_be_several_in_the_order_of_definition(self):
        class Seat(Aggregate):
            flight: str = key()
            row: int = key()

        assert Seat("LH1", 3) == Seat(row=3, flight="LH1")
        assert Seat("LH1", 3).stream == "tests.Seat/LH1/3"

    @pytest.mark.parametrize("wrong", [3, None, b"1", ["1"], True])
    def test_of_the_wrong_type_are_refused(self, wrong):
        with pytest.raises(InvalidMessage, match="Expected `str`") as caught:
            Account(wrong)
        assert caught.value.field == "number"
        assert caught.value.message_type == "tests.Account"

    def test_violating_a_constraint_are_refused(self):
        class Keyed(Aggregate):
            id: Annotated[str, Meta(pattern="^[0-9]+$")] = key()

        with pytest.raises(InvalidMessage) as caught:
            Keyed("x")
        assert caught.value.field == "id"

    @pytest.mark.parametrize(
        ("wrong", "complaint"),
        [("", "must not be empty"), ("\ud800", "is no Unicode text")],
    )
    def test_that_no_stream_can_be_named_after_are_refused(self, wrong, complaint):
        for make in (Account, Account.opened.message, Account.open.message):
            args = (wrong,) if make is Account else (wrong, "Ann")
            with pytest.raises(InvalidMessage, match=complaint) as caught:
                make(*args)
            assert caught.value.field == "number"

    def test_whose_stream_name_gets_too_long_are_refused(self):
        longest = 255 - len("tests.Account/")
        assert len(Account("x" * longest).stream) == 255
        with pytest.raises(InvalidMessage, match="has 256 characters"):
            Account("x" * (longest + 1))
        with pytest.raises(InvalidMessage, match="characters"):
            Account("ü" * 100)

    def test_never_change(self):
        with pytest.raises(TypeError, match="key properties never change"):
            Account("1").evolve(number="2")


class TestEvolving:
    def test_makes_a_new_value_and_leaves_the_old_one(self):
        empty = Account("1")
        opened = empty.opened("Ann")
        assert (opened.owner, empty.owner) == ("Ann", "")
        assert empty.new_events == ()

    @pytest.mark.parametrize("name", ["nothing", "_version", "_new_events"])
    def test_of_what_is_no_field_is_an_error(self, name):
        with pytest.raises(TypeError, match=name):
            Account("1").evolve(**{name: 1})

    def test_is_what_copy_replace_does(self):
        account = Account("1").opened("Ann")
        assert account.__replace__(owner="Bob") == account.evolve(owner="Bob")
        with pytest.raises(TypeError, match="key properties never change"):
            account.__replace__(number="2")

    def test_is_the_only_way_to_change_anything(self):
        account = Account("1")
        with pytest.raises(AttributeError):
            account.owner = "Ann"
        with pytest.raises(AttributeError):
            account.nothing = 1
        with pytest.raises(AttributeError):
            del account.owner


class TestEvents:
    def test_are_applied_as_new_and_uncommitted(self):
        account = Account("1").opened("Ann")
        assert account.owner == "Ann"
        assert account.is_new
        assert account.exists
        assert account.uncommitted
        assert account.version == -1
        assert account.new_events == (Account.opened.message("1", "Ann"),)

    def test_can_be_chained(self):
        account = Account("1").opened("Ann").deposited(Decimal(5)).deposited(amount=Decimal(2))
        assert account.balance == 7
        assert [type(one).__name__ for one in account.new_events] == [
            "opened",
            "deposited",
            "deposited",
        ]

    def test_with_an_empty_body_leave_the_aggregate_as_it_is(self):
        account = Account("1").opened("Ann")
        reminded = account.reminded("the bank")
        assert reminded.emptied().evolve(owner="Ann") == account.emptied().evolve(owner="Ann")
        assert reminded.new_events == (
            *account.new_events,
            Account.reminded.message("1", "the bank"),
        )

    def test_can_be_applied_as_messages(self):
        messages = Account("1").opened("Ann").deposited(Decimal(5)).new_events
        assert Account("1").apply(*messages) == Account("1").opened("Ann").deposited(Decimal(5))

    @pytest.mark.parametrize(
        "message",
        [
            Account.opened.message("2", "Ann"),
            Account.open.message("1", "Ann"),
            future.Journey.stopped.message("1", date(2024, 1, 1), future.Stop("Rome")),
            UnknownEvent(data={"number": "1"}),
        ],
    )
    def test_of_something_else_cannot_be_applied(self, message):
        with pytest.raises(TypeError, match=r"is not an event of tests.Account/1"):
            Account("1").apply(message)

    def test_returning_something_else_is_an_error(self):
        class Wrong(Aggregate):
            id: str = key()

            @event
            def texted(self):
                return "something"

            @event
            def swapped(self):
                return Wrong("other")

        with pytest.raises(TypeError, match=r"tests.Wrong.texted has to return the aggregate"):
            Wrong("1").texted()
        with pytest.raises(TypeError, match=r"tests.Wrong.swapped has to return the aggregate"):
            Wrong("1").swapped()

    def test_applying_other_events_is_an_error_since_they_would_be_replayed_twice(self):
        class Wrong(Aggregate):
            id: str = key()

            @event
            def outer(self):
                return self.inner()

            @event
            def inner(self):
                return self.evolve()

        with pytest.raises(TypeError, match="applies another event"):
            Wrong("1").outer()


class TestCommands:
    def test_return_the_aggregate_with_new_events(self):
        assert Account("1").open("Ann") == Account("1").opened("Ann")

    def test_return_a_rejection_with_reason_data_and_the_aggregate_as_it_was(self):
        account = Account("1").deposited(Decimal(5))
        rejected = account.withdraw(Decimal(6))
        assert rejected == Rejected("insufficient-funds", {"available": Decimal(5)}, account)

    def test_that_are_rejected_change_nothing(self):
        account = Account("1").opened("Ann")
        before = copy.deepcopy(account)
        assert isinstance(account.open("Bob"), Rejected)
        assert account == before

    def test_may_find_that_nothing_has_to_happen(self):
        account = Account("1")
        assert account.remind() is account

    def test_returning_something_else_is_an_error(self):
        class Wrong(Aggregate):
            id: str = key()
            answer: object = None

            @command
            def act(self):
                return answers[self.id]

        answers = {"none": None, "other": Wrong("2"), "foreign": Account("foreign"), "text": "x"}
        for id in answers:
            with pytest.raises(TypeError, match=r"tests.Wrong.act has to return its own aggregate"):
                Wrong(id).act()

    def test_may_reject_with_data_of_any_name(self):
        rejected = Account("1").reject("no", reason="because", self="me")
        assert rejected.reason == "no"
        assert rejected.data == {"reason": "because", "self": "me"}


class TestInheritance:
    def test_from_an_abstract_class_brings_keys_fields_events_and_commands(self):
        class Vehicle(Aggregate, abstract=True):
            plate: str = key()
            miles: int = 0

            @event
            def driven(self, miles: int):
                return self.evolve(miles=self.miles + miles)

            @command
            def drive(self, miles: int):
                return self.driven(miles)

        class Car(Vehicle):
            doors: int = 4

        class Bus(Vehicle):
            pass

        assert Car("A").drive(3).miles == 3
        assert Car.driven.name == "tests.Car.driven"
        assert Bus.driven.name == "tests.Bus.driven"
        assert Car("A").drive(3).new_events[0].definition is Car.driven
        assert Bus.drive.aggregate is Bus

    def test_from_a_concrete_class_makes_events_of_the_subclass(self):
        class Savings(Account):
            rate: int = 1

            @event
            def deposited(self, amount: Decimal):
                return self.evolve(balance=self.balance + 2 * amount)

        assert Savings("1").opened("Ann").deposited(Decimal(1)).balance == 2
        assert Savings.opened.name == "tests.Savings.opened"
        assert Account.opened.name == "tests.Account.opened"
        assert Savings("1").opened("Ann").new_events[0].definition.aggregate is Savings
        assert Account("1").deposited(Decimal(1)).balance == 1

    def test_adds_keys_behind_those_of_the_base(self):
        class Base(Aggregate, abstract=True):
            tenant: str = key(require=str.islower, demand="must be lower case")

        class Part(Base):
            number: int = key()

        assert Part.key_names() == ("tenant", "number")
        assert Part("x", 1).stream == "tests.Part/x/1"
        with pytest.raises(InvalidMessage, match="must be lower case"):
            Part("X", 1)

    def test_from_several_classes_brings_the_events_of_all(self):
        class Named(Aggregate, abstract=True):
            @event
            def named(self):
                pass

        class Aged(Aggregate, abstract=True):
            @event
            def aged(self):
                pass

        class Mixin:
            @event
            def mixed(self):
                pass

        class Person(Mixin, Named, Aged):
            id: str = key()

        assert len(Person("1").named().aged().mixed().new_events) == 3
        assert {one.name for one in Person.event_types()} == {
            "tests.Person.named",
            "tests.Person.aged",
            "tests.Person.mixed",
        }

    def test_lets_a_command_extend_that_of_its_base(self):
        class Careful(Account):
            @command
            def open(self, owner: str):
                return self.reject("no-name") if not owner else super().open(owner)

        assert Careful("1").open("").reason == "no-name"
        assert Careful("1").open("Ann").new_events[0].definition is Careful.opened


class TestDefinitions:
    def test_may_have_class_variables_properties_and_methods(self):
        class Rich(Aggregate):
            LIMIT: ClassVar[int] = 3
            id: str = key()
            parts: dict = msgspec.field(default_factory=dict)

            @property
            def twice(self):
                return 2 * self.LIMIT

            def thrice(self):
                return 3 * self.LIMIT

        assert (Rich("1").twice, Rich("1").thrice()) == (6, 9)
        assert Rich("1").parts is not Rich("1").parts

    def test_without_a_key_are_refused(self):
        with pytest.raises(DefinitionError, match=r"test_aggregates.*Keyless has no key property"):

            class Keyless(Aggregate):
                name: str = ""

    def test_with_a_field_without_default_are_refused(self):
        with pytest.raises(
            DefinitionError, match=r"Wrong: field 'owner' has no default.*= key\(\)"
        ):

            class Wrong(Aggregate):
                id: str = key()
                owner: str

    def test_with_a_key_behind_a_field_are_refused(self):
        with pytest.raises(DefinitionError, match=r"'id'.*Key properties come first") as caught:

            class Wrong(Aggregate):
                owner: str = ""
                id: str = key()

        assert "kw_only" not in str(caught.value)

    @pytest.mark.parametrize("default", [[], {}, set(), [1]])
    def test_with_a_mutable_default_are_refused(self, default):
        with pytest.raises(DefinitionError, match=r"Wrong: .*mutable"):

            class Wrong(Aggregate):
                id: str = key()
                many: object = default

    @pytest.mark.parametrize(
        "name",
        ["stream", "version", "evolve", "reject", "get", "exists", "type_name", "empty", "apply"],
    )
    def test_with_a_name_of_the_library_are_refused(self, name):
        namespace = {"__module__": __name__, "__qualname__": "Wrong", "id": key()}
        with pytest.raises(DefinitionError, match=f"Wrong: the name '{name}' is taken"):
            type(Aggregate)(
                "Wrong",
                (Aggregate,),
                {**namespace, "__annotations__": {"id": str, name: str}, name: ""},
            )

        def function(self):
            pass

        function.__name__ = name
        with pytest.raises(DefinitionError, match=f"Wrong: the name '{name}' is taken"):
            type(Aggregate)(
                "Wrong",
                (Aggregate,),
                {**namespace, "__annotations__": {"id": str}, name: event(function)},
            )

    def test_with_a_field_and_an_event_of_one_name_are_refused(self):
        with pytest.raises(DefinitionError, match="'opened' is a field and a method"):

            class Wrong(Aggregate):
                id: str = key()
                opened: bool = False

                @event
                def opened(self):  # noqa: F811
                    return self.evolve(opened=True)

    def test_that_declare_an_inherited_key_again_are_refused(self):
        with pytest.raises(DefinitionError, match="'number' is an inherited key property"):

            class AsKey(Account):
                number: int = key()

        with pytest.raises(DefinitionError, match="'number' is an inherited key property"):

            class AsField(Account):
                number: str = ""

    def test_that_hide_an_inherited_event_are_refused(self):
        with pytest.raises(DefinitionError, match="'opened' would hide the inherited <EventType"):

            class Wrong(Account):
                def opened(self):
                    pass

    def test_that_are_not_frozen_are_refused(self):
        with pytest.raises(DefinitionError, match="always frozen"):

            class Wrong(Aggregate, frozen=False):
                id: str = key()

    @pytest.mark.parametrize("name", ["a/b", "a b", "käse", "a%b", "x" * 201])
    def test_with_a_type_name_that_streams_cannot_have_are_refused(self, name):
        with pytest.raises(DefinitionError, match="cannot be a type name"):

            class Wrong(Aggregate, name=name):
                id: str = key()

    def test_inside_a_function_of_a_module_with_late_annotations_work(self):
        inner = future.journey_inside_a_function()
        assert inner("Ann").stopped({"town": "Rome"}).new_events[0].at == future.Stop("Rome")

    def test_with_late_annotations_work(self):
        journey = future.Journey("Ann", date(2024, 1, 1)).stopped(future.Stop("Rome"))
        assert journey.stops == (future.Stop("Rome"),)
        assert journey.stream == "tests.Journey/Ann/2024-01-01"


class TestNames:
    def test_come_from_the_app_and_the_class(self):
        assert Account.type_name == "tests.Account"

    @pytest.mark.parametrize(
        ("module", "label"),
        [
            ("bank.domain", "bank"),
            ("shop.bank.domain", "bank"),
            ("shop.bank.domain.accounts", "bank"),
            ("shop.domain.bank.domain.accounts", "bank"),
            ("bank.aggregates", "bank"),
            ("domain", "domain"),
            ("__main__", "__main__"),
        ],
    )
    def test_of_apps_come_from_the_module(self, module, label):
        assert app_label_of(module) == label

    def test_may_be_given(self):
        class Renamed(Aggregate, name="registration.User"):
            id: str = key()

            @event
            def registered(self):
                pass

        assert Renamed("1").stream == "registration.User/1"
        assert Renamed.registered.name == "registration.User.registered"


class TestValues:
    def test_are_equal_and_hash_alike_by_content(self):
        one, other = Account("1").opened("Ann"), Account("1").opened("Ann")
        assert one == other
        assert len({one, other}) == 1
        assert one != Account("1").opened("Bob")

    def test_show_their_state(self):
        assert repr(Account("1").opened("Ann")) == (
            "Account('1', owner='Ann', balance=Decimal('0'), version=-1, uncommitted=1)"
        )

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
    )
    def test_can_be_copied_and_pickled_with_their_new_events(self, clone):
        account = Account("1").opened("Ann").deposited(Decimal(5))
        assert clone(account) == account
        assert clone(account).new_events[0].definition is Account.opened
        assert clone(account.new_events[0]) == account.new_events[0]


def test_the_domain_needs_no_django_settings():
    program = """
from rill_django import Aggregate, Rejected, command, event, key
class Door(Aggregate):
    id: str = key()
    is_open: bool = False
    @event
    def opened(self):
        return self.evolve(is_open=True)
    @command
    def open(self):
        return self.reject("open") if self.is_open else self.opened()
door = Door("1").open()
assert door.is_open
assert door.open().reason == "open"
assert door.stream == "__main__.Door/1"
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=HOPE_SECONDS,
    )
