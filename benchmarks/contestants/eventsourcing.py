"""PyPI's eventsourcing in its safe mode, as its documentation writes an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

AMOUNT = Decimal(10)
PAGE = 1_000
# It sends an INSERT per event in one pipeline, which stalls when that gets too long.
SAVED_AT_ONCE = 1_000


class Account(Aggregate):
    """Money that one customer keeps with the bank."""

    @event("Opened")
    def __init__(self, number: str, owner: str) -> None:
        self.number = number
        self.owner = owner
        self.balance = Decimal(0)

    @staticmethod
    def create_id(number: str) -> UUID:
        """Return the id that belongs to a number."""
        return uuid5(NAMESPACE_URL, number)

    @event("Deposited")
    def deposit(self, amount: Decimal) -> None:
        """Put money in."""
        self.balance += amount


class Bank(Application[Any]):
    """The application."""

    name = "bench"


class EventSourcing:
    """See `Contestant`."""

    def __init__(self, database: Mapping[str, Any]) -> None:
        self._environment = self._environment_of(database)
        self._opened: Bank | None = None

    def _environment_of(self, database: Mapping[str, Any]) -> dict[str, str]:
        if "sqlite" in database["ENGINE"]:
            return {
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": database["NAME"],
                "SQLITE_LOCK_TIMEOUT": "60",
            }
        return {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": database["NAME"],
            "POSTGRES_HOST": database["HOST"],
            "POSTGRES_PORT": str(database["PORT"] or 5432),
            "POSTGRES_USER": database["USER"],
            "POSTGRES_PASSWORD": database["PASSWORD"],
        }

    @property
    def _bank(self) -> Bank:
        if self._opened is None:
            self._opened = Bank(env=self._environment)
        return self._opened

    def install(self) -> None:
        """See `Contestant`."""
        assert self._bank
        self.close()
        # Eight processes that make tables at their start get in each other's way.
        self._environment["CREATE_TABLE"] = "no"

    def close(self) -> None:
        """See `Contestant`."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def fill(self, numbers: Sequence[str], events: int) -> None:
        """See `Contestant`."""
        at_once = max(1, SAVED_AT_ONCE // events)
        for begin in range(0, len(numbers), at_once):
            some = numbers[begin : begin + at_once]
            self._bank.save(*[self.pending(number, events) for number in some])

    def meet(self, number: str) -> None:
        """See `Contestant`."""

    def deposit(self, number: str) -> None:
        """See `Contestant`."""
        account = self._bank.repository.get(Account.create_id(number))
        account.deposit(AMOUNT)
        self._bank.save(account)

    def begin(self, number: str) -> Any:
        """See `Contestant`."""
        account = Account(number, "Ann")
        self._bank.save(account)
        return account

    def continue_with(self, account: Any) -> Any:
        """See `Contestant`."""
        account.deposit(AMOUNT)
        self._bank.save(account)
        return account

    def pending(self, number: str, events: int) -> Any:
        """See `Contestant`."""
        account = Account(number, "Ann")
        for _ in range(events - 1):
            account.deposit(AMOUNT)
        return account

    def commit(self, account: Any) -> None:
        """See `Contestant`."""
        self._bank.save(account)

    def load(self, number: str) -> int:
        """See `Contestant`."""
        version: int = self._bank.repository.get(Account.create_id(number)).version
        return version

    def read(self, events: int) -> int:
        """See `Contestant`."""
        seen, start = 0, 1
        while seen < events:
            page = self._bank.recorder.select_notifications(start, min(PAGE, events - seen))
            if not page:
                break
            seen += len([self._bank.mapper.to_domain_event(one) for one in page])
            start = page[-1].id + 1
        return seen

    def identities_after(self, position: int) -> Sequence[tuple[int, str]]:
        """See `Contestant`."""
        page = self._bank.recorder.select_notifications(position + 1, PAGE)
        return [(one.id, f"{one.originator_id}@{one.originator_version}") for one in page]
