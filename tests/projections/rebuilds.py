"""What the tests of rebuilds share: a history, projections of it, and readers that look on."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

import msgspec
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F, Sum

from rill_django import Projection, on
from rill_django.domain.records import NewEvent
from rill_django.models import Checkpoint
from rill_django.projections.registry import current_projections
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.protocol import Append
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Customer, Holding
from tests.patience import HOPE_SECONDS

OPENED, DEPOSITED, WITHDRAWN = (
    f"bank.Account.{name}" for name in ("opened", "deposited", "withdrawn")
)


def append_history(accounts=50, deposits=19, first=0):
    """Append so many accounts, each opened and then given 1 so many times."""
    store = DjangoEventStore()
    for number in range(first, first + accounts):
        key = {"number": str(number)}
        events = [NewEvent(OPENED, msgspec.json.encode({**key, "owner": f"owner {number % 7}"}))]
        data = msgspec.json.encode({**key, "amount": "1"})
        events += [NewEvent(DEPOSITED, data)] * deposits
        store.append_all([Append(f"bank.Account/{number}", -1, events)])


def restore(length):
    """Put the log back to what it was after so many events, as an older backup does."""
    store = DjangoEventStore()
    kept = list(store.read().limit(length).stored())
    assert store.head() > length
    empty = "TRUNCATE {}" if connection.vendor == "postgresql" else "DELETE FROM {}"
    with (
        transaction.atomic(),
        dialect_of(connection).guards.down(connection),
        connection.cursor() as cursor,
    ):
        for table in ("position", "unsequenced", "event"):
            cursor.execute(empty.format(f"rill_django_{table}"))
    for one in kept:
        event = NewEvent(one.type, one.data, one.metadata, one.recorded_at)
        store.append(one.stream, one.version - 1, [event])
    assert DjangoEventStore().head() == length


def customers_projection(**attributes):
    """Make a projection of two models with a foreign key between them, in the registry in use."""

    class Customers(Projection):
        models = (Holding, Customer)

        @on(Account.opened)
        def opened(self, event):
            customer, _ = Customer.objects.get_or_create(name=event.owner)
            customer.accounts += 1
            customer.save()
            Holding.objects.create(customer=customer, number=event.number)

        @on(Account.deposited)
        def deposited(self, event):
            Holding.objects.filter(number=event.number).update(balance=F("balance") + event.amount)

        @on(Account.closed)
        def closed(self, event):
            Holding.objects.filter(number=event.number).delete()

    for name, value in attributes.items():
        setattr(Customers, name, value)
    return Customers()


def named(name):
    (projection,) = current_projections().named([name])
    return projection


def contents():
    """All rows, without primary keys that are made up."""
    return {
        "balances": list(Balance.objects.order_by("pk").values_list()),
        "branches": list(
            Branch.objects.order_by("owner").values_list("branch", "owner", "accounts")
        ),
        "audit": list(AuditLine.objects.order_by("position").values_list("text", "position")),
        "customers": list(Customer.objects.order_by("name").values_list("name", "accounts")),
        "holdings": list(
            Holding.objects.order_by("number").values_list("customer__name", "number", "balance")
        ),
    }


def live_position(projection):
    return Checkpoint.objects.get(name=projection.name, is_beside=False).position


# A process of its own, on the test database.
_REBUILDER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
import django
django.setup()
from rill_django.management.progress import Progress
advance_to, behind = Progress.advance_to, int(sys.argv.pop(1))
def held(self, done, *total):
    advance_to(self, done, *total)
    if done > behind:
        Progress.advance_to = advance_to
        print("at it", flush=True)
        sys.stdin.readline()
Progress.advance_to = held
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "rebuild_projections", *sys.argv[1:]])
"""


@contextmanager
def held_rebuild(*arguments, behind=0):
    """Run the command in a process of its own; yields it in the midst of its work, behind a position.

    It goes on when it is written a line.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _REBUILDER, str(behind), *arguments],
        env={**os.environ, "RILL_TEST_NAME": str(connection.settings_dict["NAME"])},
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said = []
            while not said or said[-1] != "at it\n":
                said.append(process.stdout.readline())
                assert said[-1], "".join(said)
            yield process
        finally:
            process.kill()


def read_without_waiting(model):
    """Count rows; fails where somebody has them locked."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        return model.objects.count()


class Readers:
    """Threads that read all the time; what they saw, and what went wrong."""

    def __init__(self, number=2):
        self.seen = Counter()
        self.sequence = []
        self.errors = []
        self._stop = Signal()
        self._threads = [Thread(daemon=True, target=self._read) for _ in range(number)]

    def _read(self):
        try:
            last = 0
            while not self._stop.is_set():
                found = Balance.objects.aggregate(moves=Sum("movements"), money=Sum("balance"))
                moves = found["moves"] or 0
                self.seen[moves] += 1
                if moves < last:
                    self.errors.append(f"older rows: {moves} after {last}")
                if found["money"] != moves:
                    self.errors.append(f"half a state: {found}")
                last = moves
                self._stop.wait(0.001)
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            connections.close_all()

    @contextmanager
    def reading(self):
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(HOPE_SECONDS)
