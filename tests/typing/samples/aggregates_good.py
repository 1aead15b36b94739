"""What a type checker knows of an aggregate. Read by test_typing, never run."""

from decimal import Decimal
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from msgspec import field
from typing_extensions import Self, assert_never, assert_type, reveal_type

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
from rill_django.domain.messages import CommandMessage, EventMessage
from rill_django.testing import given


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

# What an editor shows while one writes: pyright knows the keys, mypy only that there are some.
reveal_type(Account.opened)
# for mypy: EventType[Account, [owner: str], SomeKeys]
# for pyright: EventType[Account, (owner: str), OneKey[str, Account]]
reveal_type(Account.withdraw)
# for mypy: CommandType[Account, [amount: Decimal], SomeKeys]
# for pyright: CommandType[Account, (amount: Decimal), OneKey[str, Account]]
reveal_type(account.withdrawn)
# for mypy: def (amount: Decimal, note: str =) -> Account
# for pyright: (amount: Decimal, note: str = "") -> Account
reveal_type(account.withdraw)
# for mypy: def (amount: Decimal) -> Account | Rejected
# for pyright: (amount: Decimal) -> (Account | Rejected)
reveal_type(account.evolve)
# for mypy: def (*, number: str =, owner: str =, balance: Decimal =) -> Account
# for pyright: (*, number: str = ..., owner: str = ..., balance: Decimal = ...) -> Account
reveal_type(Account.get)
# for mypy: def (*Any, **Any) -> Account
# for pyright: (number: str, owner: str = "", balance: Decimal = Decimal(0)) -> Account

# An inherited event is one of the class that it is taken from.
assert_type(Ticket("a").named("b"), Ticket)
assert_type(Ticket("a").named("b").evolve(seats=(1,)), Ticket)


def names(event_type: EventType[Account, ...], command_type: CommandType[Account, ...]) -> str:
    return event_type.name + command_type.name


names(Account.opened, Account.withdraw)

assert_type(Account.get("1"), Account)
assert_type(Account.get(number="1"), Account)
assert_type(Account.withdraw.transact("1", amount=Decimal(1)), Ok[Account] | Rejected | Conflict)
assert_type(commit(account.withdraw(Decimal(1))), Ok[Account] | Rejected | Conflict)
assert_type(commit(account.opened("Ann")), Ok[Account] | Rejected | Conflict)
assert_type(Account.withdraw.transact("1", Decimal(1)), Ok[Account] | Rejected | Conflict)
assert_type(
    Account.withdraw.transact(number="1", amount=Decimal(1)), Ok[Account] | Rejected | Conflict
)
assert_type(
    Account.withdraw.transact("1", amount=Decimal(1), expected_version=3, idempotency_key="a"),
    Ok[Account] | Rejected | Conflict,
)
assert_type(
    Account.withdraw.transact("1", Decimal(1), idempotency_key=None),
    Ok[Account] | Rejected | Conflict,
)

message = Account.withdraw.message("1", Decimal(1))
assert_type(message, CommandMessage[Account])
assert_type(Account.withdraw.from_dict({"number": "1", "amount": "1"}), CommandMessage[Account])
assert_type(Account.withdraw.from_json(b"{}"), CommandMessage[Account])
assert_type(Account.withdrawn.message("1", amount=Decimal(1), note="x"), EventMessage)
assert_type(message.amount, Any)
assert_type(message.to_dict(), dict[str, Any])
assert_type(transact(message), Ok[Account] | Rejected | Conflict)
assert_type(transact(message, expected_version=3), Ok[Account] | Rejected | Conflict)


class Slot(Aggregate):
    id: str = key()
    machine: UUID = key()
    coins: int = 0

    @command
    def fill(self, coins: int) -> "Slot":
        return self


class Seat(Aggregate):
    country: str = key()
    hall: UUID = key()
    row: int = key()
    place: int = key()

    @command
    def take(self, name: str) -> "Seat":
        return self


assert_type(Slot.fill.transact("1", UUID(int=1), 5), Ok[Slot] | Rejected | Conflict)
assert_type(Slot.fill.transact("1", UUID(int=1), coins=5), Ok[Slot] | Rejected | Conflict)
assert_type(
    Slot.fill.transact(id="1", machine=UUID(int=1), coins=5), Ok[Slot] | Rejected | Conflict
)
assert_type(Slot.get("1", UUID(int=1)), Slot)
# With more than three keys, the arguments are not checked.
assert_type(Seat.take.transact("NL", UUID(int=1), 1, 2, "Ann"), Ok[Seat] | Rejected | Conflict)
assert_type(Seat.take.message("NL", UUID(int=1), 1, 2, name="Ann"), CommandMessage[Seat])


def from_a_form(number: str, cleaned_data: dict[str, Any]) -> None:
    """What is not known is not checked."""
    Account.withdraw.transact(number, **cleaned_data)
    Account.withdraw.transact(**cleaned_data)
    transact(Account.withdraw.message(number, **cleaned_data))


class Labelled(Aggregate, abstract=True):
    number: str = key()
    label: str = ""

    @classmethod
    def fetched(cls, number: str) -> Self:
        assert_type(cls.get(number).label, str)
        return cls.get(number)

    def labelled(self, label: str) -> Self:
        return self.evolve(label=label)


A = TypeVar("A", bound=Aggregate)


def of_any_type(kind: type[A], key: str, command: CommandType[A, ...]) -> A:
    """Code that does for all aggregate types."""
    command.transact(key, 1, 2, name="Ann").unwrap()
    kind(key)
    return kind.get(key)


def of_a_type(kind: type[Account], number: str) -> Account:
    assert_type(kind(number).read(kind, number), Account)
    return kind.get(number)


given(account).when(Account.withdraw, Decimal(1)).then(Account.withdrawn.message("1", Decimal(1)))
given(account).when(Account.withdraw, amount=Decimal(1)).then_rejected("x")


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
