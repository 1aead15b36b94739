"""Projections of the bank."""

from typing import Any

from rill_django import DELETE, Projection, RecordedEvent, RowProjection, on
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch


class Balances(RowProjection):
    """One row per open account."""

    model = Balance
    key = "number"

    @on(Account.opened)
    def opened(self, row: Balance, event: RecordedEvent) -> None:
        row.owner = event.owner

    @on(Account.deposited)
    def deposited(self, row: Balance, event: RecordedEvent) -> None:
        row.balance += event.amount
        row.movements += 1

    @on(Account.withdrawn)
    def withdrawn(self, row: Balance, event: RecordedEvent) -> None:
        row.balance -= event.amount
        row.movements += 1

    @on(Account.closed)
    def closed(self, row: Balance, event: RecordedEvent) -> Any:
        return DELETE


class Branches(RowProjection):
    """One row per branch and owner."""

    model = Branch
    key = ("branch", "owner")

    @on(Account.opened)
    def opened(self, row: Branch, event: RecordedEvent) -> None:
        row.accounts += 1


class Audit(Projection):
    """One row per event, by free ORM code."""

    models = (AuditLine,)

    @on(Account.opened, Account.closed, Account.deposited, Account.withdrawn)
    def happened(self, event: RecordedEvent) -> None:
        AuditLine.objects.create(text=f"{event.type} {event.number}", position=event.position)
