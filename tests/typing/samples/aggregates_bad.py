"""Mistakes with aggregates that type checkers find. Read by test_typing, never run."""

from decimal import Decimal
from uuid import UUID

from rill_django import Aggregate, Rejected, command, commit, event, key, transact
from rill_django.testing import given


class Account(Aggregate):
    number: str = key()
    owner: str = ""
    balance: Decimal = Decimal(0)

    @event
    def opened(self, owner: str) -> "Account":
        return self.evolve(owner=1)  # error: arg-type / ArgumentType

    @event
    def renamed(self, owner: str) -> "Account":
        return self.evolve(ownr=owner)  # error: call-arg / CallIssue

    @event
    def withdrawn(self, amount: Decimal, note: str = "") -> "Account":
        self.balance = self.balance - amount  # error: misc / AttributeAccessIssue
        return self.evolve(Decimal(1))  # error: call-arg, arg-type / CallIssue

    @command
    def withdraw(self, amount: Decimal, note: str = "") -> "Account | Rejected":
        self.read(Slot, "1")  # error: call-arg / CallIssue
        self.read(Account, 1)  # error: arg-type / ArgumentType
        return self.withdrawn(amount)

    @command  # error: arg-type / ArgumentType
    def forget(self) -> None:
        self.opened("nobody")

    @command
    def swap(self) -> "Account | Rejected":
        return Slot("1", UUID(int=0))  # error: return-value / ReturnType

    @command
    def refuse(self) -> "Account | Rejected":
        return self.reject(1)  # error: arg-type / ArgumentType


class Slot(Aggregate):
    id: str = key()
    machine: UUID = key()

    @command
    def fill(self, coins: int) -> "Slot":
        return self


class Seat(Aggregate):
    hall: str = key()
    row: int = key()
    place: int = key()

    @command
    def take(self, name: str) -> "Seat":
        return self


account = Account("1")
Account(1)  # error: arg-type / ArgumentType
Account("1", nothing=1)  # error: call-arg / CallIssue
Account()  # error: call-arg / CallIssue
Slot("1")  # error: call-arg / CallIssue
Slot("1", "2")  # error: arg-type / ArgumentType

account.opened(1)  # error: arg-type / ArgumentType
account.opened()  # error: call-arg / CallIssue
account.opened("Ann", "Bob")  # error: call-arg / CallIssue
account.opened(name="Ann")  # error: call-arg / CallIssue, CallIssue
account.withdrawn("1")  # error: arg-type / ArgumentType
account.withdraw(1.5)  # error: arg-type / ArgumentType
account.withdraw(Decimal(1), 2)  # error: arg-type / ArgumentType
account.withdraw(sum=Decimal(1))  # error: call-arg / CallIssue, CallIssue
account.evolve(balance="1")  # error: arg-type / ArgumentType

account.withdraw(Decimal(1)).opened("Ann")  # error: union-attr / AttributeAccessIssue
account.balance = Decimal(1)  # error: misc / AttributeAccessIssue
account.close()  # error: attr-defined / AttributeAccessIssue
account.withdraw.transact(Decimal(1))  # error: attr-defined / FunctionMemberAccess
commit("text")  # error: arg-type / ArgumentType

# The payload, by position and by name. A key has a type for pyright only.
Account.withdraw.transact("1", "5")  # error: call-overload / ArgumentType
Account.withdraw.transact("1", amount="5")  # error: call-overload / ArgumentType
Account.withdraw.transact("1", sum=Decimal(5))  # error: call-overload / CallIssue
Account.withdraw.transact("1")  # error: call-overload / CallIssue
Account.withdraw.transact(1, Decimal(5))  # error: - / ArgumentType
result = Account.withdraw.transact("1", Decimal(1))
result.aggregate  # noqa: B018 # error: union-attr / AttributeAccessIssue
Slot.fill.transact("1", UUID(int=1), "5")  # error: call-overload / ArgumentType
Slot.fill.transact("1", UUID(int=1))  # error: call-overload / CallIssue
Slot.fill.transact("1", "2", 5)  # error: - / ArgumentType
Seat.take.transact("A", 1, 2, 3)  # error: - / ArgumentType
Seat.take.transact("A", 1, 2, nam="Ann")  # error: call-overload / CallIssue

Account.withdraw.message("1", "5")  # error: call-overload / ArgumentType
Account.withdraw.message(1, Decimal(5))  # error: - / ArgumentType
Account.withdrawn.message("1", amount="5")  # error: call-overload / ArgumentType
Slot.fill.message("1", UUID(int=1), "5")  # error: call-overload / ArgumentType
transact(Account.withdrawn.message("1", Decimal(1)))  # error: arg-type / ArgumentType
transact(Account.withdraw)  # error: arg-type / ArgumentType
transact(
    Account.withdraw.message("1", 5),  # error: call-overload / ArgumentType
    expected_version=1,
)

Account.get(1)  # error: - / ArgumentType
Slot.get("1")  # error: - / CallIssue
Account.get("1").close()  # error: attr-defined / AttributeAccessIssue

scenario = given(account)
scenario.when(Account.withdraw, "5")  # error: arg-type / ArgumentType
scenario.when(Slot.fill, 5)  # error: arg-type / ArgumentType
Account.withdraw("1", Decimal(1))  # error: operator / CallIssue
