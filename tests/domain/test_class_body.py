"""A name that a class's body uses twice, which Python would let pass."""

import pytest

from rill_django import Aggregate, DefinitionError, command, event, key, require


class TestASecondMethodOfTheSameNameIsRefused:
    def test_of_two_events(self):
        with pytest.raises(DefinitionError) as refused:

            class Account(Aggregate):
                number: str = key()

                @event
                def deposited(self, amount: int):
                    pass

                @event(name="again")
                def deposited(self, amount: str):  # noqa: F811
                    pass

        line = TestASecondMethodOfTheSameNameIsRefused.test_of_two_events.__code__.co_firstlineno
        where = f"{__name__}.TestASecondMethodOfTheSameNameIsRefused.test_of_two_events.<locals>"
        assert str(refused.value) == (
            f"{where}.Account.deposited "
            f"is defined twice: at {__file__}:{line + 6} and at {__file__}:{line + 10}. Python "
            f"would keep the "
            "second one only. Give each a name of its own."
        )

    def test_of_an_event_and_a_command(self):
        with pytest.raises(
            DefinitionError, match=r"Account\.deposit is defined twice: at .*:\d+ and at "
        ):

            class Account(Aggregate):
                number: str = key()

                @event
                def deposit(self, amount: int):
                    pass

                @command
                def deposit(self, amount: int):  # noqa: F811
                    return self

    def test_of_a_command_and_a_plain_method(self):
        for order in (0, 1):
            with pytest.raises(DefinitionError, match=r"Account\.look is defined twice"):

                class Account(Aggregate):
                    number: str = key()

                    if order:

                        def look(self):
                            pass

                    @command
                    def look(self):
                        return self

                    if not order:

                        def look(self):
                            pass

    def test_of_an_event_and_a_field(self):
        with pytest.raises(DefinitionError) as refused:

            class Account(Aggregate):
                number: str = key()

                @event
                def balance(self):
                    pass

                balance: int = 0  # noqa: F811

        line = TestASecondMethodOfTheSameNameIsRefused.test_of_an_event_and_a_field.__code__.co_firstlineno
        where = f"{__file__}:{line + 6} and at {__file__}:{line + 10}"
        assert f"Account.balance is defined twice: at {where}. Python" in str(refused.value)

    def test_of_a_field_and_an_event(self):
        with pytest.raises(DefinitionError) as refused:

            class Account(Aggregate):
                number: str = key()
                balance: int = 0

                @event
                def balance(self):  # noqa: F811
                    pass

        where = f"{__name__}.TestASecondMethodOfTheSameNameIsRefused.test_of_a_field_and_an_event.<locals>"
        assert str(refused.value) == (
            f"{where}.Account: 'balance' is a field and a method. Rename one of them."
        )


def test_a_method_may_be_decorated_by_hand():
    class Thing(Aggregate):
        number: str = key()

        def deposited(self, amount: int):
            pass

        deposited = event(require(lambda self, amount: amount > 0, "positive")(deposited))
        deposited = event(deposited.function)

    assert Thing("1").deposited(5).uncommitted


def test_a_subclass_may_have_its_own():
    class Base(Aggregate, abstract=True):
        number: str = key()
        seen: tuple = ()

        @event
        def happened(self, what: str):
            return self.evolve(seen=(*self.seen, what))

        @command
        def act(self, what: str):
            return self.happened(what)

    class Own(Base):
        @event
        def happened(self, what: str):
            return super().happened(what.upper())

        @command
        def act(self, what: str):
            return super().act(what + "!")

    own = Own("1").act("x")
    assert (own.seen, own.new_events) == (("X!",), (Own.happened.message("1", "x!"),))
    with pytest.raises(TypeError) as refused:
        Base.act("x")
    assert str(refused.value) == (
        "<CommandType act> is of an abstract class, whose subclasses have aggregates."
    )
