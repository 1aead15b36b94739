"""A process that appends: committed or rolled back, at once or after dawdling, alone or in batches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

from django.db import OperationalError, transaction

from benchmarks.torture.ledger import Appended, Entry, Ledger, Outcome
from benchmarks.torture.options import Options
from rill_django.domain.records import NewEvent
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import ANY, EMPTY_STREAM, Append, WrongExpectedVersion

OWN_STREAMS = 3
SHARED_STREAMS = 12
TYPE = "torture.Thing.happened"


class RolledBack(Exception):
    """The writer has thought better of it."""


class Writer:
    """Appends for a while and keeps a ledger of it."""

    def __init__(self, number: int, options: Options) -> None:
        self._name = f"w{number}"
        self._seconds, self._transactions = options.seconds, options.transactions
        self._random = random.Random(f"{options.seed}/{number}")
        self._ledger = Ledger(options.path(f"{self._name}.ledger"))
        self._store = DjangoEventStore()
        # Nobody else appends to these, so their versions are known without asking.
        self._own = {f"torture.Own/{self._name}-{i}": EMPTY_STREAM for i in range(OWN_STREAMS)}
        self._serial = 0
        self._kept: list[Appended] = []
        self._discarded: list[str] = []
        self._waited = 0.0

    def run(self) -> None:
        """Write until the time is over and so many transactions are done."""
        deadline, done = time.monotonic() + self._seconds, 0
        while time.monotonic() < deadline or done < self._transactions:
            done += 1
            before = dict(self._own)
            self._kept, self._discarded, self._waited = [], [], 0.0
            outcome = self._attempt()
            ended_at = time.time()
            if outcome != "committed":
                self._own = before
                self._discarded += [event.marker for event in self._kept]
                self._kept = []
            self._ledger.write(
                Entry(self._name, outcome, self._kept, self._discarded, ended_at, self._waited)
            )

    def _attempt(self) -> Outcome:
        try:
            if self._random.random() < 0.3:
                self._append()  # in a transaction of its own
            else:
                self._transaction()
        except RolledBack:
            return "rolled back"
        except WrongExpectedVersion as refused:
            return "wrongly refused" if refused.stream in self._own else "conflict"
        except OperationalError:
            # Two that append to the same shared streams in different order. Their own doing.
            return "deadlock"
        return "committed"

    def _transaction(self) -> None:
        steps = (self._append, self._append, self._append_many, self._rolled_back_savepoint)
        with transaction.atomic():
            for _ in range(self._random.choice((1, 1, 1, 2, 3))):
                self._random.choice(steps)()
                self._dawdle()
            if self._random.random() < 0.2:
                raise RolledBack

    def _append(self) -> None:
        if self._random.random() < 0.6:
            self._append_to_own(self._random.choice(list(self._own)))
            return
        stream, events = self._shared(), self._events(self._size())
        expected = ANY if self._random.random() < 0.3 else self._store.version(stream)
        stored = self._store.append(stream, expected, [event for _, event in events])
        self._note(stream, stored[0].version, events)

    def _append_to_own(self, stream: str) -> None:
        events, begun = self._events(self._size()), time.monotonic()
        self._store.append(stream, self._own[stream], [event for _, event in events])
        self._waited = max(self._waited, time.monotonic() - begun)
        self._note(stream, self._own[stream] + 1, events)
        self._own[stream] += len(events)

    def _append_many(self) -> None:
        own, shared = self._random.choice(list(self._own)), self._shared()
        streams = {own: self._own[own], shared: self._store.version(shared)}
        events = {stream: self._events(self._random.randint(1, 15)) for stream in streams}
        self._store.append_all(
            [
                Append(stream, version, [event for _, event in events[stream]])
                for stream, version in streams.items()
            ]
        )
        for stream, version in streams.items():
            self._note(stream, version + 1, events[stream])
        self._own[own] += len(events[own])

    def _rolled_back_savepoint(self) -> None:
        own, kept = dict(self._own), len(self._kept)
        step: Callable[[], None] = self._random.choice((self._append, self._append_many))
        with suppress(RolledBack), transaction.atomic():
            step()
            self._dawdle()
            raise RolledBack
        self._own = own
        self._discarded += [event.marker for event in self._kept[kept:]]
        del self._kept[kept:]
        self._append()

    def _shared(self) -> str:
        return f"torture.Shared/{self._random.randrange(SHARED_STREAMS)}"

    def _size(self) -> int:
        return self._random.choice((1, 1, 1, 2, 5, self._random.randint(1, 50)))

    def _events(self, number: int) -> list[tuple[str, NewEvent]]:
        events = []
        for _ in range(number):
            self._serial += 1
            marker = f"{self._name}-{self._serial}"
            events.append((marker, NewEvent(TYPE, b'{"marker":"%b"}' % marker.encode())))
        return events

    def _note(self, stream: str, version: int, events: list[tuple[str, NewEvent]]) -> None:
        self._kept += [
            Appended(stream, version, marker)
            for version, (marker, _) in enumerate(events, start=version)
        ]

    def _dawdle(self) -> None:
        time.sleep(self._random.choice((0, 0.001, 0.005, 0.02)) * self._random.random())
