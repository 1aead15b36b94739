"""What is given to ``transact``, ``commit`` and the like in place of what they take."""

from __future__ import annotations

from typing import Any

from rill_django.domain.aggregates import Aggregate
from rill_django.domain.definitions import CommandType
from rill_django.domain.errors import Misuse
from rill_django.domain.message_types import MessageType
from rill_django.domain.messages import CommandMessage, EventMessage
from rill_django.domain.misuse import Written
from rill_django.domain.results import Conflict, Ok, Rejected


def not_a_command(value: Any) -> Misuse:
    """Return the error of ``transact`` for what is no command message."""
    cure = "Write: transact(Account.deposit.message('1', 5)), or at once Account.deposit.transact('1', 5)."
    if isinstance(value, (Aggregate, Rejected)):
        cure = "That is what a command has decided. To store it: commit(…)."
    elif isinstance(value, (Ok, Conflict)):
        cure = "That is the result of a command, which has been carried out."
    elif isinstance(value, CommandType):
        cure = f"Write: {Written(value).transacted}."
    elif isinstance(value, EventMessage):
        cure = "That is an event. Commands are carried out, and return what their events make."
    return Misuse(f"transact takes the message of a command, got {_short(value)}. {cure}")


def not_a_decision(value: Any) -> Misuse:
    """Return the error of ``commit`` and ``commit_all`` for what no command returns."""
    cure = "Write: commit(account.deposit(5))."
    if isinstance(value, (Ok, Conflict)):
        cure = "That is the result of a commit already."
    elif isinstance(value, CommandMessage):
        cure = "That is a command, which has decided nothing yet. Write: transact(…)."
    elif isinstance(value, EventMessage):
        cure = f"That is an event. Write: commit({value.definition.aggregate.__name__}.get(…).apply(…))."
    elif isinstance(value, MessageType):
        cure = "That is a type. Call its method on an aggregate, and commit what that returns."
    return Misuse(
        f"commit takes what a command returned, an aggregate or a rejection, got {_short(value)}. {cure}"
    )


def not_a_version(value: Any) -> Misuse:
    """Return the error of ``expected_version`` for what is no number: any stream would be elsewhere."""
    return Misuse(
        f"expected_version takes a number, the version that was seen, got {_short(value)}. Write: "
        "expected_version=account.version, or int(…) around what a form has sent."
    )


def not_many(value: Any) -> Misuse:
    """Return the error of ``commit_all`` for a single decision."""
    return Misuse(
        f"commit_all takes what several commands returned, got {_short(value)}. Write: commit(…), or "
        "commit_all([…])."
    )


def not_empty_aggregates(value: Any) -> Misuse:
    """Return the error of ``get_all`` for what is no aggregate."""
    return Misuse(
        f"get_all takes empty aggregates, which say what to fetch, got {_short(value)}. Write: "
        "get_all(Account(number) for number in numbers)."
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
