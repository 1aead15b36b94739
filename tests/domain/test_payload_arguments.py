"""Handlers that take the event's fields as arguments: how they are called, and which are refused."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NewType

import pytest

from rill_django import Aggregate, DefinitionError, Meta, event, key
from rill_django.domain.annotations import cannot_be
from rill_django.domain.payload_arguments import with_payload
from rill_django.domain.registry import isolated_registry

if TYPE_CHECKING:
    from somewhere import Unknown

GIVEN = ("self", "row", "event")
Money = Annotated[Decimal, Meta(gt=0)]
Name = NewType("Name", str)

with isolated_registry():

    class Account(Aggregate, name="payloads.Account"):
        number: str = key()

        @event
        def opened(self, owner: Name) -> None: ...

        @event
        def withdrawn(self, amount: Money, note: str | None = None) -> None: ...

        @event
        def moved(self, branch: str, *, since: int, until: int = 0) -> None: ...

        @event
        def closed(self) -> None: ...


def called(function, event_type, **fields):
    """What the function was called with."""
    event = SimpleNamespace(message=event_type.message("1", **fields))
    made = with_payload(function, event_type, GIVEN, "X")
    return made("me", "row", event)


def refused(function, event_type):
    with pytest.raises(DefinitionError) as caught:
        with_payload(function, event_type, GIVEN, "Balances: the handler x")
    return str(caught.value)


def test_fields_come_behind_the_event():
    def withdrawn(self, row, event, amount, note):
        return self, row, event.message.number, amount, note

    assert called(withdrawn, Account.withdrawn, amount=5) == ("me", "row", "1", Decimal(5), None)
    assert called(withdrawn, Account.withdrawn, amount=5, note="x")[-1] == "x"


def test_a_default_of_the_handler_is_never_used():
    def withdrawn(self, row, event, amount=0, note="mine"):
        return amount, note

    assert called(withdrawn, Account.withdrawn, amount=5) == (Decimal(5), None)


def test_fields_that_are_given_by_name_only():
    def by_name(self, row, event, branch, *, since, until):
        return branch, since, until

    def by_place(self, row, event, branch, since, until):
        return branch, since, until

    for handler in (by_name, by_place):
        assert called(handler, Account.moved, branch="a", since=1) == ("a", 1, 0)


def test_what_is_not_wanted_goes_into_the_rest():
    def withdrawn(self, row, event, amount, *_, **__):
        return amount

    def moved(self, row, event, branch, *, until, **rest):
        return branch, until, rest

    assert called(withdrawn, Account.withdrawn, amount=5, note="x") == 5
    assert called(moved, Account.moved, branch="a", since=1) == ("a", 0, {"since": 1})


@pytest.mark.parametrize("event_type", [Account.opened, Account.withdrawn, Account.closed])
def test_what_takes_no_fields_is_called_as_it_is(event_type):
    def plain(self, row, event): ...

    def everything(*args): ...

    def of_its_own(self, row, event, trouble="x", *, model=int): ...

    for handler in (plain, everything, of_its_own, functools.partial(plain), print):
        assert with_payload(handler, event_type, GIVEN, "X") is handler


def test_a_wrapper_that_passes_on_what_it_gets_is_seen_through():
    def wrapped(function):
        @functools.wraps(function)
        def wrapper(*args):
            return [function(*args)]

        return wrapper

    @wrapped
    def opened(self, row, event, owner):
        return owner

    assert called(opened, Account.opened, owner="Ann") == ["Ann"]

    @wrapped
    def wrong(self, row, event, name): ...

    assert "takes 'name'" in refused(wrong, Account.opened)


def test_a_wrapper_with_arguments_of_its_own_decides():
    def inner(self, row, event, connection): ...

    @functools.wraps(inner)
    def opened(self, row, event):
        return "called"

    assert called(opened, Account.opened, owner="Ann") == "called"


def test_the_handler_keeps_its_name():
    def opened(self, row, event, owner): ...

    made = with_payload(opened, Account.opened, GIVEN, "X")
    assert made.__qualname__ == opened.__qualname__


def test_a_mistake_is_told_with_the_cure():
    def withdrawn(self, row, event, sum, note=None): ...

    assert refused(withdrawn, Account.withdrawn) == (
        "Balances: the handler x takes 'sum' where the event has 'amount'. Write: def withdrawn(self, row, "
        "event); or, with all fields of payloads.Account.withdrawn: def withdrawn(self, row, event, amount, "
        "note=None)"
    )


@pytest.mark.parametrize(
    ("handler", "event_type", "complaint"),
    [
        (
            lambda self, row: 0,
            Account.opened,
            "takes (self, row), and is called with the row and the event",
        ),
        (
            lambda self, row, event, owner, more: 0,
            Account.opened,
            "takes (self, row, event, owner, more)",
        ),
        (
            lambda self, row, event, owner: 0,
            Account.closed,
            "takes (self, row, event, owner)",
        ),
        (
            lambda self, row, event, amount: 0,
            Account.withdrawn,
            "takes (self, row, event, amount), and",
        ),
        (
            lambda self, row, event, note, amount: 0,
            Account.withdrawn,
            "'note' where the event has 'amount'",
        ),
        (
            lambda self, row, event, *, owner: 0,
            Account.opened,
            "takes (self, row, event, *, owner)",
        ),
        (
            lambda self, row, event, number: 0,
            Account.opened,
            "'number' where the event has 'owner'",
        ),
        (lambda self, row, event, ownr="": 0, Account.opened, "'ownr' where the event has 'owner'"),
        (
            lambda self, row, event, branch: 0,
            Account.moved,
            "takes (self, row, event, branch)",
        ),
        (
            lambda self, row, event, branch, since, untill: 0,
            Account.moved,
            "(self, row, event, branch, *, since, until=0)",
        ),
    ],
)
def test_wrong_names_and_counts(handler, event_type, complaint):
    assert complaint in refused(handler, event_type)


def wrong_type(self, row, event, owner: int): ...
def wrong_in_a_union(self, row, event, amount: int | None, note: str | None): ...
def too_narrow(self, row, event, amount: Decimal, note: str): ...


@pytest.mark.parametrize(
    ("handler", "event_type", "complaint"),
    [
        (wrong_type, Account.opened, "takes 'owner' as int; it is Name"),
        (wrong_in_a_union, Account.withdrawn, "takes 'amount' as int | None; it is Decimal"),
        (too_narrow, Account.withdrawn, "takes 'note' as str; it is str | None"),
    ],
)
def test_wrong_types(handler, event_type, complaint):
    assert complaint in refused(handler, event_type)


def wider(self, row, event, amount: object, note: Any): ...
def bounded(self, row, event, amount: Money, note: Annotated[str | None, "x"]): ...
def unknown(self, row, event, amount: Unknown, note: Nonsense): ...  # noqa: F821


@pytest.mark.parametrize("handler", [wider, bounded, unknown])
def test_types_that_may_be_right(handler):
    assert with_payload(handler, Account.withdrawn, GIVEN, "X") is not handler


@pytest.mark.parametrize(
    ("given", "wanted", "wrong"),
    [
        (str, int, True),
        (int, float, False),
        (bool, int, False),
        (int, bool, True),
        (str, str | None, False),
        (str | None, str, True),
        (None, str | None, False),
        (list[int], list[str], False),
        (list[int], dict, True),
        (Name, str, False),
        (str, "Forward", False),
        (str, Any, False),
        (Any, str, False),
        (datetime, timezone, True),
    ],
)
def test_what_surely_is_no_value_of_a_type(given, wanted, wrong):
    assert cannot_be(given, wanted) == wrong
