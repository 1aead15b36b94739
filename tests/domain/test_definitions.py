from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

import pytest

from rill_django import Aggregate, DefinitionError, Meta, command, event, key
from tests.domain import future
from tests.domain.shop import Account, Money


class TestNames:
    def test_are_those_of_aggregate_and_method(self):
        assert Account.opened.name == "tests.Account.opened"
        assert Account.opened.short_name == "opened"
        assert Account.open.name == "tests.Account.open"
        assert Account.opened.__doc__ == "The account was opened."
        assert repr(Account.opened) == "<EventType tests.Account.opened>"

    def test_may_be_given_in_part_or_in_full(self):
        class Named(Aggregate, name="shop.Old"):
            id: str = key()

            @event(name="was-renamed")
            def renamed(self):
                pass

            @event(name="elsewhere.Other.moved")
            def moved(self):
                pass

            @command(name="old")
            def new(self):
                return self

        assert Named.renamed.name == "shop.Old.was-renamed"
        assert Named.moved.name == "elsewhere.Other.moved"
        assert Named.new.name == "shop.Old.old"
        assert Named("1").moved().new_events[0].definition.name == "elsewhere.Other.moved"

    def test_are_ascii(self):
        with pytest.raises(DefinitionError, match="cannot be a type name"):

            class Wrong(Aggregate):
                id: str = key()

                @event
                def geöffnet(self):
                    pass

    def test_given_twice_in_one_class_are_refused(self):
        with pytest.raises(DefinitionError, match=r"Wrong.b: the type name 'tests.Wrong.x'"):

            class Wrong(Aggregate):
                id: str = key()

                @event(name="x")
                def a(self):
                    pass

                @event(name="x")
                def b(self):
                    pass

        with pytest.raises(DefinitionError) as refused:

            class Mixed(Aggregate):
                id: str = key()

                @event(name="x")
                def a(self):
                    pass

                @command(name="x")
                def b(self):
                    return self

        where = f"{__name__}.TestNames.test_given_twice_in_one_class_are_refused.<locals>.Mixed"
        first = TestNames.test_given_twice_in_one_class_are_refused.__code__.co_firstlineno
        assert str(refused.value) == (
            f"{where}.b: the type name 'tests.Mixed.x' is already used by {where}.a "
            f"({__file__}:{first + 23} and "
            f"{__file__}:{first + 19}). Rename one of them, or give one a name of its own: class "
            "…(Aggregate, name='…') or @event(name='…')."
        )


class TestArguments:
    def test_are_given_by_position_or_name(self):
        expected = Account.deposited.message("1", Decimal(5), "gift")
        assert Account("1").deposited(Decimal(5), note="gift").new_events == (expected,)
        assert Account("1").deposited(note="gift", amount=Decimal(5)).new_events == (expected,)
        assert Account.deposited.message(note="gift", number="1", amount=Decimal(5)) == expected

    @pytest.mark.parametrize(
        ("args", "kwargs", "complaint"),
        [
            ((), {}, "needs 'amount'"),
            ((), {"note": "x"}, "needs 'amount'"),
            ((Decimal(1), "a", "b"), {}, "takes 2 arguments, 3 were given"),
            ((Decimal(1),), {"amount": Decimal(1)}, "two values for 'amount'"),
            ((Decimal(1),), {"colour": "red"}, "takes no argument 'colour'; it takes amount, note"),
            ((Decimal(1),), {"number": "2"}, "takes no argument 'number'"),
        ],
    )
    def test_are_bound_as_in_a_call(self, args, kwargs, complaint):
        with pytest.raises(TypeError, match=f"tests.Account.deposited .*{complaint}"):
            Account("1").deposited(*args, **kwargs)

    def test_may_have_any_name_that_the_library_has_no_use_for(self):
        class Free(Aggregate):
            id: str = key()

            @event
            def told(self, aggregate: str, args: int, name: str, function: str):
                pass

            @command
            def tell(self, aggregate: str):
                return self.told(aggregate, args=1, name="n", function="f")

        assert Free("1").tell(aggregate="x").new_events[0].aggregate == "x"
        assert Free.told.message("1", aggregate="x", args=1, name="n", function="").args == 1

    def test_may_be_keyword_only(self):
        class Keyword(Aggregate):
            id: str = key()
            seen: tuple = ()

            @event
            def told(self, first: int, *, second: int = 2, third: int):
                return self.evolve(seen=(first, second, third))

            @command
            def tell(self, *, first: int):
                return self.told(first, third=3)

        assert Keyword("1").tell(first=1).seen == (1, 2, 3)
        with pytest.raises(TypeError, match="takes 1 positional arguments, 2 were given"):
            Keyword("1").told(1, 2)
        with pytest.raises(TypeError, match="needs 'third'"):
            Keyword("1").told(1, second=2)


def define(**annotations):
    """An aggregate with an event that has these parameters."""
    parameters = ", ".join(f"{name}: annotations[{name!r}]" for name in annotations)
    scope = {"annotations": annotations}
    exec(f"def acted(self, {parameters}): pass", scope)
    namespace = {
        "__module__": __name__,
        "__qualname__": "Defined",
        "__annotations__": {"id": str},
        "id": key(),
        "acted": event(scope["acted"]),
    }
    return type(Aggregate)("Defined", (Aggregate,), namespace)


class Custom:
    pass


class TestADefinitionIsRefused:
    def test_that_declares_a_key_property_again(self):
        with pytest.raises(
            DefinitionError, match=r"Defined.acted: parameter 'id' is a key property.*self\.id"
        ):
            define(id=str)

    @pytest.mark.parametrize(
        "name",
        ["version", "stream", "position", "type", "metadata", "message", "to_dict", "definition"],
    )
    def test_with_a_field_whose_name_is_taken(self, name):
        with pytest.raises(DefinitionError, match=f"Defined.acted: the name '{name}' is taken"):
            define(**{name: str})

    def test_with_a_private_field(self):
        with pytest.raises(DefinitionError, match="the name '_secret' is taken"):
            define(_secret=str)

    def test_with_a_command_field_that_transact_takes_itself(self):
        with pytest.raises(DefinitionError, match="the name 'expected_version' is taken"):

            class Wrong(Aggregate):
                id: str = key()

                @command
                def act(self, expected_version: int):
                    return self

    @pytest.mark.parametrize(
        "kind", [Custom, Callable[[], int], list[Custom], complex, type, dict[str, Custom]]
    )
    def test_with_a_type_that_json_cannot_hold(self, kind):
        with pytest.raises(
            DefinitionError, match=r"Defined.acted: parameter 'it' has an unsupported type.*Use str"
        ):
            define(it=kind)

    @pytest.mark.parametrize("kind", [Account, list[Account], Aggregate])
    def test_with_an_aggregate_in_a_message(self, kind):
        with pytest.raises(DefinitionError, match="is an aggregate, which messages refer to by"):
            define(it=kind)

    def test_with_a_type_that_cannot_be_found(self):
        with pytest.raises(DefinitionError, match=r"'it' has the type 'Nowhere'.*Import or define"):
            define(it="Nowhere")
        with pytest.raises(DefinitionError, match=r"'amount' has the type 'Decimal'"):
            future.journey_with_an_import_for_types_only()

    def test_with_a_parameter_without_type(self):
        with pytest.raises(DefinitionError, match=r"Wrong.acted: parameter 'x' has no type"):

            class Wrong(Aggregate):
                id: str = key()

                @event
                def acted(self, x):
                    pass

    def test_with_parameters_of_an_open_number(self):
        with pytest.raises(DefinitionError, match=r"'them' is of a kind that a message cannot"):

            class Args(Aggregate):
                id: str = key()

                @event
                def acted(self, *them: int):
                    pass

        with pytest.raises(DefinitionError, match=r"'them' is of a kind that a message cannot"):

            class Kwargs(Aggregate):
                id: str = key()

                @command
                def act(self, **them: int):
                    return self

    def test_with_a_mutable_default(self):
        with pytest.raises(DefinitionError, match=r"parameter 'x' has a mutable default, \[\]"):

            class Wrong(Aggregate):
                id: str = key()

                @event
                def acted(self, x: list[int] = []):  # noqa: B006
                    pass

    @pytest.mark.parametrize(
        ("kind", "default"),
        [(str, None), (int, "1x"), (Money, Decimal(0)), (Annotated[int, Meta(gt=0)], 0)],
    )
    def test_with_a_default_that_could_be_stored_but_not_read(self, kind, default):
        with pytest.raises(
            DefinitionError, match=r"Wrong.acted: parameter 'x' has the default .* does not allow"
        ):

            class Wrong(Aggregate):
                id: str = key()

                @event
                def acted(self, x: kind = default):
                    pass

    def test_that_stands_on_no_method(self):
        with pytest.raises(DefinitionError, match=r"@event stands on 'moved'.*@event\(name="):
            event("moved")
        with pytest.raises(DefinitionError, match="@command stands on <staticmethod"):
            command(staticmethod(lambda: None))

    def test_without_self(self):
        with pytest.raises(DefinitionError, match=r"Wrong.acted takes no self"):

            class Wrong(Aggregate):
                id: str = key()

                @event
                def acted():
                    pass
