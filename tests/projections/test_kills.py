"""Workers that are killed at any moment, and connections that are cut: each event takes effect once.

``RILL_TEST_KILLS`` says how often; a few times by default, since it takes long. With 200 and more, say
``-o faulthandler_timeout=0``, or it is taken for a test that hangs.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connection

from rill_django import Ok
from rill_django.models import Checkpoint
from rill_django.projections.rebuild import rebuild
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.bank.projections import Audit, Balances
from tests.projections.rebuilds import contents, named

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = int(os.environ.get("RILL_TEST_KILLS", "12"))
NUMBERS = [str(number) for number in range(20)]

# Forks a worker that has everything imported, lets it work for a moment, and kills it. The last one is
# left alone until a checkpoint was seen to move: on a busy machine all might die before they have begun.
NURSERY = """
import os, random, signal, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
database = settings.DATABASES["default"]
database["NAME"] = os.environ["RILL_TEST_NAME"]
if "postgresql" in database["ENGINE"]:
    database.setdefault("OPTIONS", {})["application_name"] = "rill_worker"
import django
django.setup()
from threading import Event
from rill_django.projections.worker import ProjectionWorker
from tests.bank.projections import Audit, Balances
rounds, seed, raised_every = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
for number in range(rounds):
    if raised_every:
        Audit.version = Balances.version = 1 + number // raised_every
    child = os.fork()
    if not child:
        size = 200 if raised_every else chance.choice([1, 7, 50])
        worker = ProjectionWorker(["bank.Audit", "bank.Balances"], batch_size=size)
        worker.run(Event(), poll_interval=0.001)
    # To build another version takes longer than a batch.
    time.sleep(chance.uniform(0.02, 2.0 if raised_every else 0.25))
    if number == rounds - 1:
        sys.stdin.readline()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def cut_connections():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'rill_worker'"
            )
            return cursor.fetchone()[0]
    return 0


def write(turn):
    number = NUMBERS[turn % len(NUMBERS)]
    if turn < len(NUMBERS):
        return Account.open.transact(number, f"owner {number}")
    return Account.deposit.transact(number, turn % 9 + 1)


@pytest.mark.parametrize("raised_every", [0, 3], ids=["one version", "raised versions"])
def test_nothing_is_lost_or_doubled_by_kills_and_cuts(raised_every, record_property, monkeypatch):
    kills = KILLS // 2 if raised_every else KILLS
    seed = int(time.time())
    record_property("seed", seed)
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(kills), str(seed), str(raised_every)],
        env={**os.environ, "RILL_TEST_NAME": str(connection.settings_dict["NAME"])},
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        turn = cuts = 0
        has_moved, moved = False, Checkpoint.objects.filter(position__gt=0)
        if not raised_every:
            moved = moved.filter(is_beside=False)
        # At least until there is something to get wrong: on a busy machine the last one may die before.
        while nursery.poll() is None or turn <= 2 * len(NUMBERS):
            assert isinstance(write(turn), Ok)
            turn += 1
            if turn % 40 == 0:
                cuts += cut_connections()
            if not has_moved and moved.exists():
                has_moved = True
                nursery.stdin.close()
    finally:
        # With its child, which would go on for ever and hold the tables of the tests to come.
        with suppress(ProcessLookupError):
            os.killpg(nursery.pid, signal.SIGKILL)
        nursery.wait()
        nursery.stdin.close()
    assert has_moved
    assert nursery.returncode == 0
    left = Checkpoint.objects.get(name="bank.Audit", is_beside=False)
    if raised_every:
        for projection in (Audit, Balances):
            monkeypatch.setattr(projection, "version", 1 + (kills - 1) // raised_every)
    catch_up("bank.Audit", "bank.Balances")
    events = list(DjangoEventStore().read())
    lines = list(AuditLine.objects.order_by("pk").values_list("position", flat=True))
    assert lines == [event.position for event in events] == list(range(1, len(events) + 1))
    balances, moves = Counter(), Counter()
    for event in events:
        if event.type == "bank.Account.deposited":
            balances[event.number] += event.amount
            moves[event.number] += 1
    assert {
        row.number: (row.owner, row.balance, row.movements) for row in Balance.objects.all()
    } == {
        number: (f"owner {number}", Decimal(balances[number]), moves[number]) for number in NUMBERS
    }
    rows = contents()
    for name in ("bank.Audit", "bank.Balances"):
        rebuild(named(name))
    assert contents() == rows
    record_property("cuts", cuts)
    record_property("events by killed workers", left.position)
    record_property("version by killed workers", left.version)
