from decimal import Decimal

import pytest

from rill_django import (
    Aggregate,
    DefinitionError,
    InvalidMessage,
    command,
    ensure,
    event,
    key,
    require,
)
from rill_django.domain.errors import PostconditionFailed
from tests.domain.shop import Account


class TestAPrecondition:
    def test_of_an_event_gets_the_aggregate_and_the_fields(self):
        account = Account("1").deposited(Decimal(5000))
        with pytest.raises(InvalidMessage, match="must be less than 1000") as caught:
            account.withdrawn(Decimal(1000))
        assert caught.value.field == "amount"
        assert caught.value.message_type == "tests.Account.withdrawn"

    def test_of_a_command_gets_the_aggregate_and_the_fields(self):
        with pytest.raises(InvalidMessage, match="is bad luck") as caught:
            Account("1").withdraw(amount=Decimal(13))
        assert caught.value.message_type == "tests.Account.withdraw"

    def test_is_not_asked_of_facts(self):
        message = Account.withdrawn.message("1", Decimal(2000))
        assert Account.withdrawn.apply_recorded(Account("1"), message).balance == -2000

    def test_of_several_the_first_that_fails_is_told(self):
        class Strict(Aggregate):
            id: str = key()

            @event
            @require(lambda self, number: number > 0, "must be positive")
            @require(lambda self, number: number % 2 == 0, "must be even")
            def counted(self, number: int):
                pass

        assert Strict("1").counted(2).uncommitted
        with pytest.raises(InvalidMessage, match="must be positive"):
            Strict("1").counted(-1)
        with pytest.raises(InvalidMessage, match="must be even"):
            Strict("1").counted(1)


class TestAPostcondition:
    def test_of_an_event_sees_what_it_led_to(self):
        with pytest.raises(PostconditionFailed, match=r"tests.Account.withdrawn: the balance is"):
            Account("1").withdrawn(Decimal(1))

    def test_of_a_command_is_asked_unless_it_was_rejected(self):
        class Careless(Aggregate):
            id: str = key()

            @event
            def acted(self):
                pass

            @command
            @ensure(lambda self, act: self.uncommitted, "something happens")
            def act(self, act: bool | None):
                if act is None:
                    return self.reject("no")
                return self.acted() if act else self

        assert Careless("1").act(True).uncommitted
        assert Careless("1").act(None).reason == "no"
        with pytest.raises(PostconditionFailed, match=r"tests.Careless.act: something happens"):
            Careless("1").act(False)


class TestAConditionInTheWrongPlaceIsRefused:
    @pytest.mark.parametrize("condition", [require, ensure])
    @pytest.mark.parametrize("decorator", [event, command])
    def test_above_event_or_command(self, condition, decorator):
        with pytest.raises(DefinitionError, match="below @event or @command"):

            class Wrong(Aggregate):
                id: str = key()

                @condition(lambda self: True, "fine")
                @decorator
                def acted(self):
                    return self

    def test_on_a_class_that_is_no_aggregate(self):
        with pytest.raises(DefinitionError, match=r"@require stands on .*Plain"):

            @require(lambda self: True, "fine")
            class Plain:
                pass

    def test_ensure_on_an_aggregate(self):
        with pytest.raises(DefinitionError, match="@ensure stands on"):

            @ensure(lambda self: True, "fine")
            class Wrong(Aggregate):
                id: str = key()
