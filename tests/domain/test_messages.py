from datetime import date, datetime, timezone
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from rill_django import Aggregate, InvalidMessage, event, key
from tests.domain.shop import Account, Colour, Everything, Line, Place

FIELDS = {
    "text": "“quoted” / and\nmore",
    "whole": 3,
    "amount": Decimal("12.50"),
    "id": UUID("8d06d5ea-46f8-41e3-9c56-7b16c719e086"),
    "day": date(2024, 2, 29),
    "time": datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=timezone.utc),
    "colour": Colour.RED,
    "line": Line("a", 2),
    "place": Place("Rome", 21.5),
    "lines": [Line("a"), Line("b", 3)],
    "pair": (1, "one"),
    "counts": {"a": 1},
    "numbered": {7: "seven"},
    "maybe": None,
    "share": 0.5,
}


class TestAMessage:
    def test_is_made_by_position_name_or_from_a_dict(self):
        expected = Account.deposited.message("1", Decimal(5))
        assert Account.deposited.message(amount=Decimal(5), number="1") == expected
        assert Account.deposited.from_dict({"number": "1", "amount": "5"}) == expected
        assert (expected.number, expected.amount, expected.note) == ("1", 5, "")

    def test_of_a_command_is_data_that_knows_its_type(self):
        message = Account.withdraw.message("1", amount=Decimal(5))
        assert message.definition is Account.withdraw
        assert message.to_dict() == {"number": "1", "amount": "5"}

    def test_is_frozen(self):
        with pytest.raises(AttributeError):
            Account.opened.message("1", "Ann").owner = "Bob"

    def test_does_not_share_what_it_was_made_from(self):
        lines = [Line("a")]
        message = Everything.recorded.message("x", 1, **{**FIELDS, "lines": lines})
        lines.append("nonsense")
        assert message.lines == [Line("a")]

    def test_of_every_type_comes_back_from_its_dict(self):
        message = Everything.recorded.message("x", 1, **FIELDS)
        plain = message.to_dict()
        assert plain["amount"] == "12.50"
        assert plain["day"] == "2024-02-29"
        assert plain["colour"] == "red"
        assert plain["lines"] == [{"sku": "a", "amount": 1}, {"sku": "b", "amount": 3}]
        assert (plain["kind"], plain["tags"], plain["price"]) == ("a", (), "1.50")
        assert Everything.recorded.from_dict(plain) == message

    def test_of_every_type_comes_back_from_json(self):
        message = Everything.recorded.message("x", 1, **FIELDS)
        plain = msgspec.json.decode(msgspec.json.encode(message))
        assert Everything.recorded.from_dict(plain) == message

    def test_has_defaults_in_the_form_of_their_type(self):
        class Loose(Aggregate):
            id: str = key()

            @event
            def acted(self, price: Decimal = 0, lines: list[Line] = ()):
                pass

        message = Loose.acted.message("1")
        assert isinstance(message.price, Decimal)
        assert message.lines == []
        with pytest.raises(TypeError, match="never change"):
            message.lines.append(Line("a"))


class TestAMessageFromADict:
    @pytest.mark.parametrize(
        ("values", "field", "reason"),
        [
            ({"number": "1"}, "amount", "is required"),
            ({"amount": "1"}, "number", "is required"),
            ({"number": "1", "amount": "1", "x": 1}, "x", "is not a field"),
            ({"number": "1", "amount": "1", 3: 1}, "3", "is not a field"),
            ({"number": "1", "amount": "x"}, "amount", "Invalid decimal string"),
            ({"number": "1", "amount": "0"}, "amount", "Expected `decimal` > 0"),
            ({"number": "", "amount": "1"}, "number", "must not be empty"),
            ([1], "", "Expected an object, got list"),
            (None, "", "Expected an object"),
        ],
    )
    def test_is_checked(self, values, field, reason):
        for definition in (Account.deposited, Account.withdraw):
            with pytest.raises(InvalidMessage, match=reason) as caught:
                definition.from_dict(values)
            assert caught.value.field == field
