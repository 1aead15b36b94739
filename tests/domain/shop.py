"""A small domain for the tests of this package."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from rill_django import Aggregate, Meta, Rejected, command, ensure, event, key, require

Money = Annotated[Decimal, Meta(gt=0)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(msgspec.Struct, frozen=True):
    sku: str
    amount: int = 1


@dataclass(frozen=True)
class Place:
    city: str
    height: float = 0.0


class Account(Aggregate):
    """Money that one customer keeps with the bank."""

    number: str = key()
    owner: str = ""
    balance: Decimal = Decimal(0)

    @event
    def opened(self, owner: str) -> Account:
        """The account was opened."""
        return self.evolve(owner=owner)

    @event
    def deposited(self, amount: Money, note: str = "") -> Account:
        return self.evolve(balance=self.balance + amount)

    @event
    @require(lambda self, amount: amount < 1000, "must be less than 1000", field="amount")
    @ensure(lambda self, amount: self.balance >= 0, "the balance is never negative")
    def withdrawn(self, amount: Money) -> Account:
        return self.evolve(balance=self.balance - amount)

    @event
    def reminded(self, by: str) -> None:
        """The owner got a letter, which changes nothing."""

    @command
    def open(self, owner: str) -> Account | Rejected:
        """Open the account."""
        if self.exists:
            return self.reject("open-already", owner=self.owner)
        return self.opened(owner)

    @command
    @require(lambda self, amount: amount != 13, "is bad luck", field="amount")
    def withdraw(self, amount: Money) -> Account | Rejected:
        if amount > self.balance:
            return self.reject("insufficient-funds", available=self.balance)
        return self.withdrawn(amount)

    @command
    def deposit(self, amount: Money) -> Account | Rejected:
        return self.deposited(amount)

    @command
    def transfer_owner(self, other: str) -> Account | Rejected:
        owner = self.read(Account, other).owner
        return self.opened(owner) if owner else self.reject("no-owner")

    @command
    def remind(self) -> Account | Rejected:
        return self


class Everything(Aggregate):
    """Has an event with all types that a message may have."""

    name: str = key()
    number: int = key()

    @event
    def recorded(
        self,
        text: str,
        whole: int,
        amount: Decimal,
        id: UUID,
        day: date,
        time: datetime,
        colour: Colour,
        line: Line,
        place: Place,
        lines: list[Line],
        pair: tuple[int, str],
        counts: dict[str, int],
        numbered: dict[int, str],
        maybe: str | None,
        share: float,
        kind: Literal["a", "b"] = "a",
        tags: tuple[str, ...] = (),
        price: Decimal = Decimal("1.50"),
    ) -> None:
        pass
