import copy
import json
import pickle
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rill_django import (
    Aggregate,
    InvalidMessage,
    RecordedEvent,
    UnreadableEvent,
    event,
    key,
    upcast,
)
from rill_django.domain.codec import decode_events, encode_event, encode_metadata
from rill_django.domain.records import NewEvent, StoredEvent, UnknownEvent
from rill_django.domain.registry import current_registry, isolated_registry
from rill_django.repository import replay
from tests.domain.shop import Account, Colour, Everything, Line, Place

NOW = datetime(2024, 2, 29, tzinfo=timezone.utc)


def stored(new: NewEvent, version: int = 0, stream: str = "tests.Account/1") -> StoredEvent:
    return StoredEvent(stream, version, version + 1, new.type, new.data, new.metadata, NOW)


def decoded(*events: StoredEvent) -> list[RecordedEvent]:
    return list(decode_events(events, current_registry()))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(-(2**80), 2**80)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
lines = st.builds(Line, sku=texts, amount=numbers)
fields = st.fixed_dictionaries(
    {
        "name": texts.filter(bool).map(lambda text: text[:20]),
        "number": st.integers(-(2**63), 2**63 - 1),
        "text": texts,
        "whole": numbers,
        "amount": decimals,
        "id": st.uuids(),
        "day": st.dates(),
        "time": st.datetimes() | st.datetimes(timezones=st.just(timezone.utc)),
        "colour": st.sampled_from(Colour),
        "line": lines,
        "place": st.builds(Place, city=texts, height=floats),
        "lines": st.lists(lines, max_size=3),
        "pair": st.tuples(numbers, texts),
        "counts": st.dictionaries(texts, numbers, max_size=3),
        "numbered": st.dictionaries(numbers, texts, max_size=3),
        "maybe": st.none() | texts,
        "share": floats,
    },
    optional={
        "kind": st.sampled_from(["a", "b"]),
        "tags": st.lists(texts, max_size=3).map(tuple),
        "price": decimals,
    },
)


class TestEveryMessage:
    @given(fields)
    def test_survives_being_stored(self, values):
        message = Everything.recorded.message(**values)
        new = encode_event(message)
        json.loads(new.data)
        with isolated_registry() as registry:
            registry.add(Everything, Everything.type_name)
            [recorded] = decoded(stored(new))
            assert recorded.message == message
            assert recorded.type == "tests.Everything.recorded"
            upcast()(lambda event: event)
            assert decoded(stored(new))[0].message == message

    @given(fields)
    def test_comes_back_from_its_dict(self, values):
        message = Everything.recorded.message(**values)
        assert Everything.recorded.from_dict(message.to_dict()) == message


def test_a_recorded_event_says_what_where_and_when():
    new = encode_event(Account.opened.message("1", "Ann"), encode_metadata({"actor": "bob"}))
    [recorded] = decoded(stored(new, version=3))
    assert new.data == b'{"number":"1","owner":"Ann"}'
    assert (recorded.owner, recorded.number) == ("Ann", "1")
    assert recorded.identity == "tests.Account/1@3"
    assert recorded.metadata == {"actor": "bob"}
    assert (recorded.version, recorded.position, recorded.recorded_at) == (3, 4, NOW)
    with pytest.raises(AttributeError, match=r"event tests.Account.opened has no 'colour'; it has"):
        recorded.colour  # noqa: B018


class Loose(Aggregate, abstract=True):
    id: str = key()

    @event
    def acted(self, it: Any = None, share: float | None = None, text: str = ""):
        pass


class TestWhatCannotBeStored:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"share": float("nan")}, "no number nan"),
            ({"share": float("-inf")}, "no number -inf"),
            ({"it": [{"a": (float("inf"),)}]}, "no number inf"),
            ({"text": "a\0b"}, "NUL"),
            ({"it": {"\0": 1}}, "NUL"),
            ({"text": "\ud800"}, "surrogates"),
        ],
    )
    def test_is_refused_before_it_is_lost(self, fields, reason):
        class Tight(Loose):
            pass

        with pytest.raises(InvalidMessage, match=reason) as caught:
            encode_event(Tight.acted.message("1", **fields))
        assert caught.value.message_type == "tests.Tight.acted"

    def test_is_refused_in_a_key(self):
        with pytest.raises(InvalidMessage, match="NUL"):
            encode_event(Account.opened.message("a\0", "Ann"))

    def test_are_objects(self):
        class Tight(Loose):
            pass

        with pytest.raises(InvalidMessage, match="objects of type object are not supported"):
            Tight.acted.message("1", object())

    def test_is_not_a_text_that_only_looks_like_nul(self):
        class Tight(Loose):
            pass

        message = Tight.acted.message("1", text="\\u0000")
        assert decoded(stored(encode_event(message)))[0].message == message
        assert encode_metadata({"reason": "\\u0000"}) == b'{"reason":"\\\\u0000"}'

    @pytest.mark.parametrize(
        ("value", "reason"),
        [("\0", "NUL"), (float("nan"), "no number nan"), (object(), "object"), ("\ud800", "surr")],
    )
    def test_is_refused_in_metadata(self, value, reason):
        with pytest.raises(InvalidMessage, match=reason):
            encode_metadata({"reason": value})


class TestMetadata:
    def test_are_encoded_without_empty_values(self):
        assert encode_metadata({"actor": "ann", "reason": None}) == b'{"actor":"ann"}'

    def test_of_one_event_are_not_those_of_another(self):
        new = encode_event(Account.opened.message("1", "Ann"), b'{"actor":"ann"}')
        one, other = decoded(stored(new), stored(new, 1))
        one.metadata["actor"] = "mallory"
        assert other.metadata == {"actor": "ann"}
        assert decoded(stored(new))[0].metadata == {"actor": "ann"}


class TestOldEvents:
    def test_of_an_unknown_type_are_kept_as_plain_values(self):
        [recorded] = decoded(stored(NewEvent("gone.Type.acted", b'{"a":[1,"x"]}')))
        assert recorded.message == UnknownEvent(data={"a": [1, "x"]})
        assert recorded.type == "gone.Type.acted"
        assert recorded.data == {"a": [1, "x"]}

    def test_of_an_unknown_type_leave_the_aggregate_as_it_is_and_count(self):
        events = decoded(
            stored(encode_event(Account.opened.message("1", "Ann"))),
            stored(NewEvent("gone.Type.acted", b"{}"), 1),
            stored(encode_event(Account.deposited.message("1", Decimal(5))), 2),
        )
        account = replay(Account("1"), events)
        assert (account.owner, account.balance, account.version) == ("Ann", 5, 2)
        assert not account.uncommitted
        assert not account.is_new
        assert account.exists

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
    )
    @pytest.mark.parametrize("type", ["tests.Account.opened", "gone.Type.acted"])
    def test_can_be_copied_and_pickled(self, type, clone):
        (event,) = decoded(stored(NewEvent(type, b'{"number":"1","owner":"Ann"}')))
        again = clone(event)
        assert isinstance(again, RecordedEvent)
        assert again == event
        assert again.message == event.message
        assert repr(again) == repr(event)

    def test_have_the_fields_of_their_message_and_say_what_they_lack(self):
        (event,) = decoded(
            stored(NewEvent("tests.Account.opened", b'{"number":"1","owner":"Ann"}'))
        )
        assert (event.number, event.owner) == ("1", "Ann")
        with pytest.raises(AttributeError, match=r"opened has no 'amount'; it has number, owner"):
            _ = event.amount
        with pytest.raises(AttributeError, match="immutable"):
            event.owner = "Bob"
        (unknown,) = decoded(stored(NewEvent("gone.Type.acted", b'{"number":"1"}')))
        assert unknown.data == {"number": "1"}

    def test_with_more_fields_than_today_are_read(self):
        data = b'{"number":"1","owner":"Ann","title":"Dr"}'
        assert decoded(stored(NewEvent("tests.Account.opened", data)))[0].owner == "Ann"

    def test_with_fewer_fields_than_today_get_the_defaults(self):
        data = b'{"number":"1","amount":"5"}'
        assert decoded(stored(NewEvent("tests.Account.deposited", data)))[0].note == ""

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b'{"number":"1"}', "missing required field `owner`"),
            (b'{"number":"1","owner":3}', "Expected `str`, got `int`"),
            (b"[]", "Expected `object`"),
            (b"{", "truncated"),
        ],
    )
    def test_that_do_not_fit_are_unreadable(self, data, reason):
        event = stored(NewEvent("tests.Account.opened", data), 7)
        with pytest.raises(UnreadableEvent, match=reason) as caught:
            decoded(event)
        assert caught.value.identity == "tests.Account/1@7"
        assert str(caught.value).startswith("tests.Account/1@7 is stored as 'tests.Account.opened'")
        upcast("tests.Account.opened")(lambda event: event)
        with pytest.raises(UnreadableEvent, match=r"tests.Account/1@7"):
            decoded(event)

    @pytest.mark.parametrize("data", [b"[]", b"{", b"\xff"])
    def test_of_an_unknown_type_that_are_no_objects_are_unreadable(self, data):
        with pytest.raises(UnreadableEvent, match=r"tests.Account/1@0"):
            decoded(stored(NewEvent("gone.Type.acted", data)))
