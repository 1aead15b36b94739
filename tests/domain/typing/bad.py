"""Mistakes that a type checker finds. Read by test_typing, never run."""

from decimal import Decimal
from uuid import UUID

from rill_django import Aggregate, Rejected, command, commit, event, key


class Account(Aggregate):
    number: str = key()
    owner: str = ""
    balance: Decimal = Decimal(0)

    @event
    def opened(self, owner: str) -> "Account":
        return self.evolve(owner=owner)

    @event
    def withdrawn(self, amount: Decimal) -> "Account":
        self.balance = self.balance - amount  # E: misc
        return self

    @command
    def withdraw(self, amount: Decimal) -> "Account | Rejected":
        return self.withdrawn(amount)

    @command  # E: arg-type
    def forget(self) -> None:
        self.opened("nobody")

    @command
    def swap(self) -> "Account | Rejected":
        return Slot("1", UUID(int=0))  # E: return-value


class Slot(Aggregate):
    id: str = key()
    machine: UUID = key()


account = Account("1")
Account(1)  # E: arg-type
Account("1", nothing=1)  # E: call-arg
Account()  # E: call-arg
Slot("1")  # E: call-arg
Slot("1", "2")  # E: arg-type

account.opened(1)  # E: arg-type
account.opened()  # E: call-arg
account.opened("Ann", "Bob")  # E: call-arg
account.opened(name="Ann")  # E: call-arg
account.withdrawn("1")  # E: arg-type
account.withdraw(1.5)  # E: arg-type
account.withdraw(Decimal(1), 2)  # E: call-arg
account.withdraw(sum=Decimal(1))  # E: call-arg

account.withdraw(Decimal(1)).opened("Ann")  # E: union-attr
_ = Account.withdraw.transact("1", Decimal(1)).aggregate  # E: union-attr
account.balance = Decimal(1)  # E: misc
account.close()  # E: attr-defined
commit("text")  # E: arg-type
