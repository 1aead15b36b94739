from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Generic, Optional, TypeVar

import msgspec
import pytest

from rill_django import Aggregate, DefinitionError, InvalidMessage, Meta, event, key
from tests.domain.shop import Money

T = TypeVar("T")
Debt = Annotated[Decimal, Meta(lt=0, description="what is owed")]


def aggregate_with(kind):
    class Bounded(Aggregate):
        id: str = key()

        @event
        def acted(self, it: kind):
            pass

    return Bounded("1")


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        (Money, "0", "it"),
        (Money, "-0.01", "it"),
        (Money, "NaN", "it"),
        (Money, "sNaN", "it"),
        (Annotated[Decimal, Meta(ge=1, le=2)], "0.99", "it"),
        (Annotated[Decimal, Meta(ge=1, le=2)], "2.01", "it"),
        (Annotated[Money, Meta(lt=10)], "10", "it"),
        (Annotated[Money, Meta(lt=10)], "0", "it"),
        (Debt, "0", "it"),
        (Money | None, "0", "it"),
        (Optional[Money], "0", "it"),  # noqa: UP045
        (list[Money], ["1", "0"], "it[1]"),
        (Sequence[Money], ["1", "0"], "it[1]"),
        (list[list[Money]], [["1"], ["1", "2", "0"]], "it[1][2]"),
        (list[Money] | None, ["1", "0"], "it[1]"),
        (list[Money | None], [None, "0"], "it[1]"),
        (tuple[Money, ...], ["1", "0"], "it[1]"),
        (tuple[Debt, Money], ["-1", "-1"], "it[1]"),
        (tuple[Decimal, Money], ["-1", "0"], "it[1]"),
        (set[Money], ["0"], "it[...]"),
        (dict[str, Money], {"a": "0"}, "it[...]"),
        (Mapping[str, Money], {"a": "0"}, "it[...]"),
        (dict[Money, Decimal], {"0": "1"}, "it[...]"),
        (dict[str, list[Money]], {"a": ["1", "0"]}, "it[...][1]"),
        (Annotated[list[Money], Meta(min_length=1)], ["0"], "it[0]"),
        (Annotated[list[Money], Meta(min_length=1)], [], "it"),
    ],
)
def test_a_decimal_out_of_bounds_is_refused_wherever_it_is(kind, value, path):
    with pytest.raises(InvalidMessage) as caught:
        aggregate_with(kind).acted(value)
    assert caught.value.field == path


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        (Money, "0.01", Decimal("0.01")),
        (Annotated[Decimal, Meta(ge=1, le=2)], "1", Decimal(1)),
        (Annotated[Decimal, Meta(ge=1, le=2)], "2", Decimal(2)),
        (Debt, "-1", Decimal(-1)),
        (Money | None, None, None),
        (Money | bool, True, True),
        (list[Money] | Debt, "-1", Decimal(-1)),
        (tuple[Money, Decimal], ("1", "-1"), (Decimal(1), Decimal(-1))),
        (tuple[Debt, Money], ("-1", "1"), (Decimal(-1), Decimal(1))),
        (dict[Money, Decimal], {"1": "-1"}, {Decimal(1): Decimal(-1)}),
        (dict[Decimal, Money], {"-1": "1"}, {Decimal(-1): Decimal(1)}),
        (set[Money], ["1"], {Decimal(1)}),
        (Annotated[list[Money], Meta(min_length=1)], ["1"], [Decimal(1)]),
    ],
)
def test_a_decimal_within_its_bounds_is_taken(kind, value, taken):
    assert aggregate_with(kind).acted(value).new_events[0].it == taken


def test_the_complaint_names_bound_and_value():
    with pytest.raises(InvalidMessage, match=r"field 'it': Expected `decimal` > 0, got -5$"):
        aggregate_with(Money).acted(Decimal(-5))


class MoneyLine(msgspec.Struct):
    amount: Money


class Box(msgspec.Struct, Generic[T]):
    inside: T


@pytest.mark.parametrize(
    "kind",
    [
        Annotated[Decimal, Meta(multiple_of=5)],
        Annotated[Decimal, Meta(gt=0), Meta(max_length=5)],
        MoneyLine,
        list[MoneyLine],
        Box[Money],
    ],
)
def test_a_constraint_that_nothing_would_check_is_refused(kind):
    with pytest.raises(DefinitionError, match="'it' has an unsupported type: Can only set"):
        aggregate_with(kind)
