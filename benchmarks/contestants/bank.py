"""The accounts, written with rill_django."""

from decimal import Decimal
from typing import Annotated

from rill_django import Aggregate, Meta, Rejected, command, event, key

Money = Annotated[Decimal, Meta(gt=0)]


class Account(Aggregate, name="bench.Account"):
    """Money that one customer keeps with the bank."""

    number: str = key()
    owner: str = ""
    balance: Decimal = Decimal(0)

    @event
    def opened(self, owner: str) -> "Account":
        """The account was opened for its owner."""
        return self.evolve(owner=owner)

    @event
    def deposited(self, amount: Money) -> "Account":
        """Money came in."""
        return self.evolve(balance=self.balance + amount)

    @command
    def deposit(self, amount: Money) -> "Account | Rejected":
        """Put money in."""
        if not self.exists:
            return self.reject("no-such-account")
        return self.deposited(amount)
