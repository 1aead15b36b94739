"""Processes that open a transaction, do one thing in it, and leave it open for the whole run."""

from __future__ import annotations

import time

from django.db import connection, transaction

from benchmarks.torture.ledger import Appended, Entry, Ledger
from benchmarks.torture.options import Options
from benchmarks.torture.writer import TYPE
from rill_django.domain.records import NewEvent
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EMPTY_STREAM

STREAM = "torture.Slow/1"
LONGEST = 24 * 3600.0


def dawdler(options: Options) -> None:
    """Append first of all, and commit last of all."""
    markers = [f"slow-{number}" for number in range(3)]
    events = [NewEvent(TYPE, b'{"marker":"%b"}' % marker.encode()) for marker in markers]
    with transaction.atomic():
        DjangoEventStore().append(STREAM, EMPTY_STREAM, events)
        options.flag("dawdler").up()
        options.flag("finish").wait(LONGEST)
    kept = [Appended(STREAM, version, marker) for version, marker in enumerate(markers)]
    Ledger(options.path("dawdler.ledger")).write(
        Entry("dawdler", "committed", kept, [], time.time(), 0.0)
    )


def bystander(options: Options) -> None:
    """Write to a table that has nothing to do with events."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO torture_unrelated (note) VALUES ('open all the time')")
        options.flag("bystander").up()
        options.flag("finish").wait(LONGEST)
