"""What type checkers know of projections. Read by test_typing, never run."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

from django.db.models import Model
from typing_extensions import assert_type, reveal_type

from rill_django import (
    DELETE,
    Aggregate,
    Deletion,
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
    def moved(self, branch: str, *, since: int, until: int | None = None) -> "Account":
        return self

    @event
    def closed(self) -> "Account":
        return self


class Balances(RowProjection[Balance]):
    key = "number"

    @on(Account.opened)
    def opened(self, row: Balance, event: RecordedEvent, owner: str) -> None:
        assert_type(self.model, type[Balance])
        row.owner = owner

    @on(Account.renamed)
    def renamed(self, row: Balance, event: RecordedEvent) -> None:
        row.owner = event.owner

    # A wider type is one, too; a default is never used.
    @on(Account.withdrawn, key="number")
    def withdrawn(
        self, row: Balance, event: RecordedEvent, amount: Decimal | int, note: object = None
    ) -> None:
        row.balance -= amount

    @on(Account.moved, keys=("branch",))
    def moved(
        self, row: Balance, event: RecordedEvent, branch: str, since: int, until: int | None = None
    ) -> None:
        row.movements += since

    @on(Account.closed)
    def closed(self, row: Balance, event: RecordedEvent) -> Deletion:
        return DELETE


class Wanted(RowProjection[Balance]):
    """Only the first fields."""

    model = Balance
    key = "number"

    @on(Account.withdrawn)
    def withdrawn(
        self, row: Balance, event: RecordedEvent, amount: Decimal, *_: object, **__: object
    ) -> Deletion | None:
        return DELETE if amount else None

    @on(Account.moved)
    def moved(self, row: Balance, event: RecordedEvent, branch: str, **_: object) -> None: ...

    # Events with the same fields, and events with other ones.
    @on(Account.opened, Account.renamed)
    def named(self, row: Balance, event: RecordedEvent, owner: str) -> None: ...


class Untyped(RowProjection):
    """As it may be written without types."""

    model = Balance
    key = "number"

    @on(Account.opened, Account.withdrawn)
    def both(self, row: Balance, event: RecordedEvent) -> None:
        row.owner = event.owner

    @on(Account.closed)
    def closed(self, row, event):  # type: ignore[no-untyped-def]
        row.owner = event.owner
        return DELETE

    @on(Account.renamed)
    def renamed(self, row, event, owner):  # type: ignore[no-untyped-def]
        row.owner = owner

    def kept(self, owner: str) -> None:
        self.both(Balance(), self.last())

    def last(self) -> RecordedEvent:
        raise NotImplementedError


R = TypeVar("R", bound=Model)


class Counting(RowProjection[R]):
    """Of any model."""


class CountingBalances(Counting[Balance]):
    key = "number"

    @on(Account.opened)
    def opened(self, row: Balance, event: RecordedEvent, owner: str) -> None:
        assert_type(self.model, type[Balance])


class Audit(Projection):
    models = (AuditLine,)

    @on(Account.opened)
    def opened(self, event: RecordedEvent, owner: str) -> None:
        AuditLine.objects.create(text=owner, position=event.position or 0)

    @on(Account.renamed)
    def renamed(self, event: RecordedEvent) -> AuditLine:
        return AuditLine.objects.create(text=event.owner, position=event.position or 0)

    @on_batch(Account.withdrawn, Account.moved)
    def happened(self, events: Sequence[RecordedEvent]) -> None:
        assert_type(events[0].version, int)

    @on_batch(Account.closed)
    def closed(self, events: list[RecordedEvent]) -> None: ...


reveal_type(on(Account.opened))
# for mypy: HandlerMark[[owner: str]]
# for pyright: HandlerMark[(owner: str)]
reveal_type(Balances().opened)
# for mypy: def (Balance, RecordedEvent, owner: str)
# for pyright: (Balance, RecordedEvent, owner: str) -> None


@after_commit(Account.opened, Account.renamed)
def named(event: RecordedEvent, owner: str) -> None: ...


@after_commit(Account.opened, Account.closed)
def happened(event: RecordedEvent) -> str:
    return event.identity


reveal_type(named)
# for mypy: def (RecordedEvent, owner: str)
# for pyright: (RecordedEvent, owner: str) -> None
