from datetime import datetime
from decimal import Decimal
from typing import Annotated

import pytest

from rill_django import Aggregate, DefinitionError, InvalidMessage, Meta, key, require


class TestAPreconditionOnAKey:
    def test_is_checked_wherever_the_key_comes_from(self):
        class Numbered(Aggregate):
            number: str = key(require=str.isdigit, demand="must be digits")

        assert Numbered("12").number == "12"
        with pytest.raises(InvalidMessage, match="must be digits") as caught:
            Numbered("x")
        assert (caught.value.field, caught.value.message_type) == ("number", "tests.Numbered")

    def test_has_a_demand_by_default(self):
        class Numbered(Aggregate):
            number: int = key(require=lambda number: number > 0)

        with pytest.raises(InvalidMessage, match="is not acceptable"):
            Numbered(0)

    def test_may_concern_several_keys_together(self):
        @require(lambda self: self.origin != self.destination, "must differ", field="destination")
        class Route(Aggregate):
            origin: str = key()
            destination: str = key()

        assert Route("A", "B").stream == "tests.Route/A/B"
        with pytest.raises(InvalidMessage, match="must differ") as caught:
            Route("A", "A")
        assert caught.value.field == "destination"

    def test_is_inherited(self):
        class Base(Aggregate, abstract=True):
            number: str = key(require=str.isdigit)

        class Left(Base, abstract=True):
            pass

        class Right(Base, abstract=True):
            pass

        class Both(Left, Right):
            pass

        assert Both.key_names() == ("number",)
        with pytest.raises(InvalidMessage):
            Both("x")


class TestAKeyIsRefused:
    @pytest.mark.parametrize(
        "kind",
        [float, bool, datetime, list, Decimal, bytes, str | None, Annotated[float, Meta(gt=0)]],
    )
    def test_of_a_type_that_names_no_stream(self, kind):
        with pytest.raises(
            DefinitionError, match=r"Wrong: key 'id' has an unsupported type.*a str, int, UUID"
        ):

            class Wrong(Aggregate):
                id: kind = key()

    def test_without_a_type(self):
        with pytest.raises(DefinitionError, match=r"Wrong: key 'id' has no type. Write id: str"):

            class Wrong(Aggregate):
                id = key()

    def test_with_a_type_that_cannot_be_found(self):
        with pytest.raises(DefinitionError, match=r"Wrong: key 'id' has the type 'Nowhere'"):

            class Wrong(Aggregate):
                id: "Nowhere" = key()  # noqa: F821
