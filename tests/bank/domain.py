"""A small bank, the domain that the tests of the machinery use."""

from decimal import Decimal
from typing import Annotated

from rill_django import Aggregate, Meta, Rejected, command, event, key

Money = Annotated[Decimal, Meta(gt=0, lt=10**18)]


class Account(Aggregate):
    """Money that one customer keeps with the bank."""

    number: str = key()
    owner: str = ""
    balance: Decimal = Decimal(0)
    is_closed: bool = False

    @event
    def opened(self, owner: str, branch: str = "main") -> "Account":
        """The account was opened for its owner."""
        return self.evolve(owner=owner, is_closed=False)

    @event
    def deposited(self, amount: Money) -> "Account":
        """Money came in."""
        return self.evolve(balance=self.balance + amount)

    @event
    def withdrawn(self, amount: Money) -> "Account":
        """The owner took money out."""
        return self.evolve(balance=self.balance - amount)

    @event
    def closed(self) -> "Account":
        """The account was closed."""
        return self.evolve(is_closed=True)

    @command
    def open(self, owner: str) -> "Account | Rejected":
        """Open an account that is not open."""
        if self.exists and not self.is_closed:
            return self.reject("already-open", owner=self.owner)
        return self.opened(owner)

    @command
    def deposit(self, amount: Money) -> "Account | Rejected":
        """Put money in."""
        if not self.exists or self.is_closed:
            return self.reject("no-such-account")
        return self.deposited(amount)

    @command
    def withdraw(self, amount: Money) -> "Account | Rejected":
        """Take money out of the account."""
        if amount > self.balance:
            return self.reject("insufficient-funds", available=self.balance)
        return self.withdrawn(amount)

    @command
    def close(self) -> "Account | Rejected":
        """Close the account, which has to be empty."""
        if self.balance:
            return self.reject("not-empty", balance=self.balance)
        return self.closed()
