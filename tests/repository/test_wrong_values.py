"""What is given to transact, commit and the like in place of what they take."""

import pytest

from rill_django import commit, commit_all, get_all, transact
from rill_django.domain.errors import Misuse
from rill_django.testing import given, memory_runtime
from tests.bank.domain import Account

OPENED = Account("1").opened("Ann")
REFUSED = Account("1").reject("no")
COMMAND, EVENT = Account.deposit.message("1", 5), Account.deposited.message("1", 5)


@pytest.fixture(autouse=True)
def memory():
    with memory_runtime() as runtime:
        yield runtime


def said(function, *args):
    with pytest.raises(Misuse) as error:
        function(*args)
    return str(error.value)


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (OPENED, "That is what a command has decided. To store it: commit(…)."),
        (REFUSED, "That is what a command has decided. To store it: commit(…)."),
        (Account.deposit, "Write: Account.deposit.transact(number, amount)."),
        (EVENT, "That is an event. Commands are carried out, and return what their events make."),
        (
            None,
            "Write: transact(Account.deposit.message('1', 5)), or at once Account.deposit.transact('1', 5).",
        ),
    ],
)
def test_of_transact(value, cure):
    assert (
        said(transact, value) == f"transact takes the message of a command, got {value!r}. {cure}"
    )


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (COMMAND, "That is a command, which has decided nothing yet. Write: transact(…)."),
        (EVENT, "That is an event. Write: commit(Account.get(…).apply(…))."),
        (
            Account.deposit,
            "That is a type. Call its method on an aggregate, and commit what that returns.",
        ),
        (None, "Write: commit(account.deposit(5))."),
    ],
)
def test_of_commit(value, cure):
    expected = (
        f"commit takes what a command returned, an aggregate or a rejection, got {value!r}. {cure}"
    )
    assert said(commit, value) == expected
    assert said(commit_all, [value]) == expected


def test_of_what_was_committed_already(memory):
    result = commit(OPENED)
    assert said(commit, result) == (
        f"commit takes what a command returned, an aggregate or a rejection, got {result!r}. That is the "
        "result of a commit already."
    )
    assert said(transact, result) == (
        f"transact takes the message of a command, got {result!r}. That is the result of a command, which "
        "has been carried out."
    )


@pytest.mark.parametrize("version", ["3", 3.0, b"3"])
def test_of_a_version_that_is_no_number(version):
    with pytest.raises(Misuse) as error:
        Account.deposit.transact("1", 5, expected_version=version)
    assert str(error.value) == (
        f"expected_version takes a number, the version that was seen, got {version!r}. Write: "
        "expected_version=account.version, or int(…) around what a form has sent."
    )


def test_of_an_idempotency_key_that_is_no_text():
    with pytest.raises(Misuse) as error:
        Account.deposit.transact("1", 5, idempotency_key=4711)
    assert (
        str(error.value) == "idempotency_key takes a text, got 4711. Write: idempotency_key='4711'."
    )


def test_of_apply():
    assert said(OPENED.apply, OPENED) == (
        f"{OPENED!r} is not an event of bank.Account/1. apply takes messages, as "
        "Account.<event>.message(…) makes them; self.<event>(…) is applied already."
    )


def test_of_commit_all():
    assert said(commit_all, OPENED) == (
        f"commit_all takes what several commands returned, got {OPENED!r}. Write: commit(…), or "
        "commit_all([…])."
    )


def test_of_get_all():
    assert said(get_all, ["1", "2"]) == (
        "get_all takes empty aggregates, which say what to fetch, got '1'. Write: "
        "get_all(Account(number) for number in numbers)."
    )


def test_of_read():
    assert said(OPENED.read, "Account", "1") == (
        "self.read takes the aggregate type, and then the key, got 'Account'. Write: "
        "self.read(Account, '1')."
    )


def test_of_scenarios():
    assert said(given, Account) == (
        f"given takes aggregates with their events, got {Account!r}. Write: "
        "given(Account('1').opened('Ann'))."
    )
    assert said(given(OPENED).when, OPENED.deposit, 5) == (
        f"when takes the type of a command, and then its fields, got {OPENED.deposit!r}. Write: "
        "given(account).when(Account.withdraw, 20)."
    )
    assert said(given(OPENED).when(Account.deposit, 5).then, OPENED) == (
        f"then takes the messages of events, got {OPENED!r}. Write: "
        "then(Account.withdrawn.message('1', 20))."
    )
