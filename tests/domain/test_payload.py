import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec
import pytest

from rill_django import Aggregate, InvalidMessage, Meta, event, key
from tests.domain.shop import Colour, Everything, Line, Place
from tests.domain.test_messages import FIELDS


class Text(str):
    """As Django's SafeString is one."""


class Number(float):
    """As numpy's float64 is one."""


def refused(**fields):
    with pytest.raises(InvalidMessage) as caught:
        Everything("x", 1).recorded(**{**FIELDS, **fields})
    assert caught.value.message_type == "tests.Everything.recorded"
    return caught.value


class TestAWrongValueIsRefused:
    @pytest.mark.parametrize(
        ("fields", "path", "reason"),
        [
            ({"text": 3}, "text", "Expected `str`, got `int`"),
            ({"whole": "3"}, "whole", "Expected `int`, got `str`"),
            ({"whole": True}, "whole", "Expected `int`, got `bool`"),
            ({"whole": 1.5}, "whole", "Expected `int`, got `float`"),
            ({"day": "29.2.2024"}, "day", "Invalid RFC3339"),
            ({"colour": "green"}, "colour", "Invalid enum value 'green'"),
            ({"kind": "c"}, "kind", "Invalid enum value 'c'"),
            ({"maybe": 3}, "maybe", "Expected `str | null`, got `int`"),
            ({"lines": [{"sku": "a", "amount": "x"}]}, "lines[0].amount", "Expected `int`"),
            ({"lines": [Line("a"), {"amount": 1}]}, "lines[1].sku", "is required"),
            ({"lines": [Line("a"), None]}, "lines[1]", "Expected `object`"),
            ({"pair": (1, 2)}, "pair[1]", "Expected `str`"),
            ({"pair": (1,)}, "pair", "length 2"),
            ({"counts": {"a": "x"}}, "counts[...]", "Expected `int`"),
            ({"numbered": {"x": "y"}}, "numbered", "Expected `int`"),
            ({"place": {"city": "Rome", "height": "x"}}, "place.height", "Expected `float`"),
            ({"line": object()}, "line", "Expected `object`"),
        ],
    )
    def test_with_the_path_of_its_field(self, fields, path, reason):
        error = refused(**fields)
        assert error.field == path
        assert reason in error.reason

    def test_inside_a_struct_or_dataclass_that_nobody_checked(self):
        assert refused(lines=[Line("a"), Line(sku=3)]).field == "lines[1].sku"
        assert refused(line=Line("a", amount=None)).field == "line.amount"
        assert refused(place=Place("Rome", height="high")).field == "place.height"
        assert refused(line=Line(sku=object())).reason.startswith("cannot be stored as JSON")

    def test_also_for_a_message(self):
        with pytest.raises(InvalidMessage) as caught:
            Everything.recorded.message("x", 1, **{**FIELDS, "whole": "3"})
        assert caught.value.field == "whole"
        assert str(caught.value) == (
            "tests.Everything.recorded, field 'whole': Expected `int`, got `str`"
        )

    @pytest.mark.parametrize(
        ("kind", "wrong"),
        [
            (Annotated[int, Meta(ge=1)], 0),
            (Annotated[str, Meta(max_length=2)], "abc"),
            (Annotated[str, Meta(pattern="^[a-z]+$")], "A"),
            (Annotated[list[int], Meta(min_length=1)], []),
        ],
    )
    def test_by_the_constraints_of_its_type(self, kind, wrong):
        class Bounded(Aggregate):
            id: str = key()

            @event
            def acted(self, it: kind):
                pass

        with pytest.raises(InvalidMessage) as caught:
            Bounded("1").acted(wrong)
        assert caught.value.field == "it"


class TestAValueIsTakenAs:
    def test_what_its_json_form_stands_for(self):
        plain = json.loads(msgspec.json.encode(FIELDS))
        applied = Everything("x", 1).recorded(**plain).new_events
        assert applied == Everything("x", 1).recorded(**FIELDS).new_events

    def test_plain_text_or_number_when_it_is_of_a_subclass(self):
        message = Everything.recorded.message(
            Text("x"), 1, **{**FIELDS, "text": Text("safe"), "share": Number(0.5)}
        )
        assert [type(one) for one in (message.name, message.text, message.share)] == [
            str,
            str,
            float,
        ]

    def test_member_of_an_enum(self):
        class Key(Aggregate):
            id: str = key()

            @event
            def acted(self, it: dict[Colour, int], days: dict[date, Decimal]):
                pass

        message = Key.acted.message("1", {Colour.RED: 1}, {date(2024, 1, 1): Decimal(1)})
        assert message.it == {Colour.RED: 1}
        assert Key.acted.from_dict(message.to_dict()) == message


@dataclass(frozen=True)
class Branch:
    name: str
    children: "list[Branch]" = ()


@pytest.fixture
def tree():
    class Tree(Aggregate):
        id: str = key()

        @event
        def grown(self, root: Branch):
            pass

    return Tree


def test_recursive_types_are_supported(tree):
    message = tree.grown.message("1", {"name": "a", "children": [{"name": "b"}]})
    assert message.root == Branch("a", [Branch("b")])
    with pytest.raises(InvalidMessage) as caught:
        tree.grown.message("1", Branch("a", [Branch("b", [Branch(3)])]))
    assert caught.value.field == "root.children[0].children[0].name"
