"""Triggers that take the event's fields as arguments."""

from decimal import Decimal

import pytest

from rill_django import DefinitionError, after_commit, commit
from rill_django.testing import isolated_triggers, memory_runtime
from tests.bank.domain import Account


@pytest.fixture(autouse=True)
def alone():
    with isolated_triggers(), memory_runtime():
        yield


def test_a_trigger_may_take_the_fields():
    told = []

    @after_commit(Account.opened)
    def opened(event, owner, branch):
        told.append((event.number, owner, branch))

    @after_commit(Account.deposited, Account.withdrawn)
    def moved(event, amount):
        told.append((event.version, amount))

    commit(Account("1").opened("Ann").deposited(5).withdrawn(3))
    assert told == [("1", "Ann", "main"), (1, Decimal(5)), (2, Decimal(3))]


def test_or_the_event_alone():
    told = []
    after_commit(Account.opened)(told.append)
    result = commit(Account("1").opened("Ann"))
    assert told == [*result.events]


def test_other_arguments_are_refused_at_once():
    with pytest.raises(DefinitionError) as caught:

        @after_commit(Account.opened)
        def opened(event, owner): ...

    assert str(caught.value) == (
        "@after_commit: test_other_arguments_are_refused_at_once.<locals>.opened takes (event, owner), and "
        "is called with the event. Write: def opened(event); or, with all fields of bank.Account.opened: "
        "def opened(event, owner, branch='main')"
    )
