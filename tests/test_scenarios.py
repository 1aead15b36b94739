"""`rill_django.testing`: scenarios, matching, the repository in memory."""

from decimal import Decimal

import pytest

from rill_django import Ok, after_commit
from rill_django.testing import (
    assert_matches,
    given,
    isolated_triggers,
    matches,
    memory_runtime,
)
from tests.bank.domain import Account

ACCOUNT = Account("1").opened("Ann").deposited(100)


def test_an_accepted_command():
    scenario = given(ACCOUNT).when(Account.withdraw, 20)
    scenario.then(Account.withdrawn.message("1", 20)).then_state(balance=80, owner="Ann")


def test_a_rejected_command():
    given(ACCOUNT).when(Account.withdraw, amount=200).then_rejected(
        "insufficient-funds", available=Decimal(100)
    ).then_state(balance=100)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: given(ACCOUNT).when(Account.withdraw, 20).then(),
        lambda: given(ACCOUNT).when(Account.withdraw, 20).then(Account.withdrawn.message("1", 21)),
        lambda: given(ACCOUNT).when(Account.withdraw, 200).then(),
        lambda: given(ACCOUNT).when(Account.withdraw, 20).then_rejected("insufficient-funds"),
        lambda: given(ACCOUNT).when(Account.withdraw, 200).then_rejected("other"),
        lambda: given(ACCOUNT).when(Account.withdraw, 200).then_rejected("insufficient-funds", x=1),
        lambda: given(ACCOUNT).when(Account.withdraw, 20).then_state(balance=100),
    ],
)
def test_a_scenario_that_goes_otherwise_fails(wrong):
    with pytest.raises(AssertionError):
        wrong()


def test_given_events_are_the_past_and_trigger_nothing():
    with isolated_triggers():
        called = []
        after_commit(Account.opened)(called.append)
        given(ACCOUNT).when(Account.withdraw, 20)
        assert called == []
        with memory_runtime():
            Account.open.transact("1", "Ann").unwrap()
        assert [event.owner for event in called] == ["Ann"]


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": {"b": [1, {"c": 3, "d": 4}]}}, {"a": {"b": [1, {"c": int}]}}),
        ([1, 2, 3], [1, ...]),
        ([], [...]),
        ((1, 2), [1, 2]),
        (ACCOUNT, {"owner": "Ann", "balance": Decimal}),
        (None, None),
        (object(), ...),
    ],
)
def test_matching(actual, expected):
    assert matches(actual, expected)
    assert_matches(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected", "complaint"),
    [
        ({"a": 1}, {"a": 2}, "at a: expected 2, found 1"),
        ({"a": 1}, {"b": 1}, "at b: expected 1, found nothing"),
        ({"a": [1, 2]}, {"a": [1]}, r"at a: expected \[1\]"),
        ([1], [1, 2], "at the top"),
        ("text", ["text"], "at the top"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, r"at a\[0\].b: expected 2, found 1"),
        (1, str, "at the top"),
    ],
)
def test_what_does_not_match_is_named(actual, expected, complaint):
    assert not matches(actual, expected)
    with pytest.raises(AssertionError, match=complaint):
        assert_matches(actual, expected)


def test_the_repository_in_memory_is_left_with_the_block():
    with memory_runtime():
        assert isinstance(Account.open.transact("1", "Ann"), Ok)
        assert Account.get("1").exists
    with memory_runtime():
        assert not Account.get("1").exists
