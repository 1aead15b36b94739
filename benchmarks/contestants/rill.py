"""rill_django, as a project uses it, with its bare repository and with the caching one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import django

from benchmarks import DATABASES_VARIABLE

AMOUNT = Decimal(10)
SAVED_AT_ONCE = 5_000


class Rill:
    """With the bare repository: every command reads the whole stream."""

    def __init__(self, database: Mapping[str, Any]) -> None:
        os.environ[DATABASES_VARIABLE] = json.dumps({"default": database})
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        django.setup()
        from benchmarks.contestants.bank import Account
        from rill_django.dispatch import Dispatcher
        from rill_django.store.orm import DjangoEventStore

        self._account = Account
        self._store = DjangoEventStore()
        self._dispatcher = Dispatcher(self._repository())

    def _repository(self) -> Any:
        from rill_django.repository import Repository

        return Repository(self._store)

    def install(self) -> None:
        """See `Contestant`."""
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self.close()

    def close(self) -> None:
        """See `Contestant`."""
        from django.db import connections

        connections.close_all()

    def fill(self, numbers: Sequence[str], events: int) -> None:
        """See `Contestant`."""
        from rill_django.domain.codec import encode_event
        from rill_django.store.protocol import NONE, Append

        at_once = max(1, SAVED_AT_ONCE // events)
        for begin in range(0, len(numbers), at_once):
            accounts = [self.pending(number, events) for number in numbers[begin : begin + at_once]]
            self._store.append_all(
                [Append(one.stream, NONE, [*map(encode_event, one.new_events)]) for one in accounts]
            )
        self._store.head()

    def meet(self, number: str) -> None:
        """See `Contestant`."""
        self._dispatcher.update(self._account(number))

    def deposit(self, number: str) -> None:
        """See `Contestant`."""
        message = self._account.deposit.message(number, AMOUNT)
        self._dispatcher.transact(message).unwrap()

    def begin(self, number: str) -> Any:
        """See `Contestant`."""
        return self._dispatcher.commit(self._account(number).opened("Ann")).unwrap()

    def continue_with(self, account: Any) -> Any:
        """See `Contestant`."""
        return self._dispatcher.commit(account.deposited(AMOUNT)).unwrap()

    def pending(self, number: str, events: int) -> Any:
        """See `Contestant`."""
        account = self._account(number).opened("Ann")
        for _ in range(events - 1):
            account = account.deposited(AMOUNT)
        return account

    def commit(self, account: Any) -> None:
        """See `Contestant`."""
        self._dispatcher.commit(account).unwrap()

    def load(self, number: str) -> int:
        """See `Contestant`."""
        version: int = self._dispatcher.update(self._account(number)).version
        return version + 1

    def read(self, events: int) -> int:
        """See `Contestant`."""
        return sum(1 for _ in islice(self._store.read(), events))

    def identities_after(self, position: int) -> Sequence[tuple[int, str]]:
        """See `Contestant`."""
        page = self._store.read().after(position).limit(1_000).stored()
        return [(one.position or 0, f"{one.stream}@{one.version}") for one in page]


class CachedRill(Rill):
    """With the caching repository, which is the default: every command reads what is new."""

    def _repository(self) -> Any:
        from rill_django.repository import CachingRepository

        return CachingRepository(self._store)
