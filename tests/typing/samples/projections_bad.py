"""Mistakes with projections that type checkers find. Read by test_typing, never run."""

from decimal import Decimal

from rill_django import (
    Aggregate,
    Projection,
    RecordedEvent,
    RowProjection,
    after_commit,
    event,
    key,
    on,
    on_batch,
)
from tests.bank.models import AuditLine, Balance


class Account(Aggregate):
    number: str = key()

    @event
    def opened(self, owner: str) -> "Account":
        return self

    @event
    def renamed(self, owner: str) -> "Account":
        return self

    @event
    def withdrawn(self, amount: Decimal, note: str = "") -> "Account":
        return self

    @event
    def moved(self, branch: str, *, since: int) -> "Account":
        return self

    @event
    def closed(self) -> "Account":
        return self


class Types(RowProjection[Balance]):
    key = "number"

    @on(Account.opened)  # error: arg-type / CallIssue, ArgumentType
    def opened(self, row: Balance, event: RecordedEvent, owner: int) -> None: ...

    @on(Account.renamed)  # error: arg-type / CallIssue, ArgumentType
    def renamed(self, row: Balance, event: str, owner: str) -> None: ...

    @on(Account.withdrawn)  # error: arg-type / CallIssue, ArgumentType
    def withdrawn(
        self, row: Balance, event: RecordedEvent, amount: int, note: str = ""
    ) -> None: ...

    @on(Account.closed)  # error: type-var / CallIssue, ArgumentType
    def closed(self, row: Balance, event: RecordedEvent) -> Balance:
        return row


class Names(RowProjection[Balance]):
    key = "number"

    @on(Account.opened)  # error: arg-type / CallIssue, ArgumentType
    def opened(self, row: Balance, event: RecordedEvent, name: str) -> None: ...

    @on(Account.withdrawn)  # error: arg-type / CallIssue, ArgumentType
    def withdrawn(
        self, row: Balance, event: RecordedEvent, sum: Decimal, note: str = ""
    ) -> None: ...

    @on(Account.moved)  # error: arg-type / CallIssue, ArgumentType
    def moved(self, row: Balance, event: RecordedEvent, branch: str, *, until: int) -> None: ...


class Counts(RowProjection[Balance]):
    key = "number"

    @on(Account.opened)  # error: arg-type / CallIssue, ArgumentType
    def opened(self, row: Balance) -> None: ...

    @on(Account.renamed)  # error: arg-type / CallIssue, ArgumentType
    def renamed(self, row: Balance, event: RecordedEvent, owner: str, more: str) -> None: ...

    @on(Account.withdrawn)  # error: arg-type / CallIssue, ArgumentType
    def withdrawn(self, row: Balance, event: RecordedEvent, amount: Decimal) -> None: ...

    @on(Account.moved)  # error: arg-type / CallIssue, ArgumentType
    def moved(self, row: Balance, event: RecordedEvent, branch: str) -> None: ...

    @on(Account.closed)  # error: arg-type / CallIssue, ArgumentType
    def closed(self, row: Balance, event: RecordedEvent, owner: str) -> None: ...


class Others(RowProjection[Balance]):
    model = AuditLine  # error: assignment / AssignmentType
    key = "number"

    @on(Account.withdrawn)  # error: arg-type / CallIssue, ArgumentType
    def withdrawn(self, row: Balance, event: RecordedEvent, amount: Decimal, note: str) -> None: ...

    @on(Account.opened)
    def opened(self, row: Balance, event: RecordedEvent) -> None:
        row.ownr = event.owner  # error: attr-defined / AttributeAccessIssue


class Free(Projection):
    models = (AuditLine,)

    @on(Account.opened)  # error: arg-type / CallIssue, ArgumentType
    def opened(self, event: RecordedEvent, owner: int) -> None: ...

    @on(Account.renamed)  # error: arg-type / CallIssue, ArgumentType
    def renamed(self, event: RecordedEvent, name: str) -> None: ...

    @on(Account.closed)  # error: arg-type / CallIssue, ArgumentType
    def closed(self) -> None: ...

    @on_batch(Account.withdrawn)  # error: type-var / ArgumentType
    def withdrawn(self, event: RecordedEvent) -> None: ...


on("bank.Account.opened")  # error: call-overload / ArgumentType
on()  # error: call-overload / CallIssue


@after_commit(Account.opened)  # error: arg-type / CallIssue, ArgumentType
def opened(event: RecordedEvent, owner: int) -> None: ...


@after_commit(Account.withdrawn)  # error: arg-type / CallIssue, ArgumentType
def withdrawn(event: RecordedEvent, amount: Decimal) -> None: ...


@after_commit(Account.opened, Account.closed)  # error: arg-type / CallIssue, ArgumentType
def happened() -> None: ...
