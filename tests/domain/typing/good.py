"""What a type checker knows of an aggregate. Read by test_typing, never run."""

from decimal import Decimal
from typing import NoReturn

from msgspec import field
from typing_extensions import assert_never, assert_type, reveal_type

from rill_django import (
    Aggregate,
    Conflict,
    Ok,
    Rejected,
    command,
    commit,
    ensure,
    event,
    key,
    metadata,
    require,
    transact,
)
from rill_django.domain.definitions import CommandType, EventType


class Account(Aggregate):
    number: str = key(require=str.isdigit, demand="must be digits")
    owner: str = ""
    balance: Decimal = Decimal(0)

    @event
    def opened(self, owner: str) -> "Account":
        return self.evolve(owner=owner)

    @event(name="taken")
    @require(lambda self, amount: amount > 0, "must be positive")
    @ensure(lambda self, amount: self.balance >= 0, "never negative")
    def withdrawn(self, amount: Decimal, note: str = "") -> "Account":
        return self.evolve(balance=self.balance - amount)

    @event
    def reminded(self) -> None:
        """Changes nothing."""

    @command
    def open(self, owner: str) -> "Account | Rejected":
        other = self.read(Account, "2")
        assert_type(other, Account)
        return self.opened(owner).reminded()

    @command
    def withdraw(self, amount: Decimal) -> "Account | Rejected":
        if amount > self.balance:
            return self.reject("insufficient-funds", available=self.balance)
        return self.withdrawn(amount, note="x")


class Named(Aggregate, abstract=True):
    tenant: str = key()
    label: str = field(default="")

    @event
    def named(self, label: str) -> "Named":
        return self.evolve(label=label)


@require(lambda self: self.tenant != self.label, "must differ")
class Ticket(Named, name="support.Ticket"):
    seats: tuple[int, ...] = ()


assert_type(Ticket("a"), Ticket)
assert_type(Ticket("a").seats, tuple[int, ...])
assert_type(Ticket("a").label, str)

account = Account("1")
assert_type(account, Account)
assert_type(Account(number="1"), Account)
assert_type(account.number, str)
assert_type(account.balance, Decimal)
assert_type(account.evolve(owner="Ann"), Account)
assert_type(account.version, int)

assert_type(account.opened("Ann"), Account)
assert_type(account.opened(owner="Ann").reminded().withdrawn(Decimal(1)), Account)
assert_type(account.withdraw(Decimal(1)), Account | Rejected)
reveal_type(Account.opened)  # R: EventType[Account, [owner: str]]
reveal_type(Account.withdraw)  # R: CommandType[Account, [amount: decimal.Decimal]]
reveal_type(account.withdrawn)  # R: def (amount: decimal.Decimal, note: str =) -> Account


def names(event_type: EventType[Account, ...], command_type: CommandType[Account, ...]) -> str:
    return event_type.name + command_type.name


names(Account.opened, Account.withdraw)

assert_type(Account.get("1"), Account)
assert_type(Account.withdraw.transact("1", amount=Decimal(1)), Ok[Account] | Rejected | Conflict)
assert_type(commit(account.withdraw(Decimal(1))), Ok[Account] | Rejected | Conflict)
assert_type(commit(account.opened("Ann")), Ok[Account] | Rejected | Conflict)
transact(Account.withdraw.message("1", Decimal(1)))


def told() -> str:
    with metadata(actor="ann", reason="test"):
        result = Account.withdraw.transact("1", Decimal(1))
    match result:
        case Ok(aggregate=aggregate, events=events):
            assert_type(aggregate, Account)
            return f"{aggregate.owner} {len(events)}"
        case Rejected(reason="insufficient-funds", data=data):
            return str(data["available"])
        case Rejected() as rejected:
            assert_type(rejected, Rejected)
            return rejected.reason
        case Conflict(actual_version=version):
            assert_type(version, int)
            return str(version)
    assert_never(result)


def unwrapped(result: Ok[Account]) -> Account:
    return result.unwrap()


def refused(result: Rejected) -> NoReturn:
    result.unwrap()


decision = account.withdraw(Decimal(1))
if isinstance(decision, Account):
    assert_type(decision.opened("Ann"), Account)
else:
    assert_type(decision, Rejected)
