"""Processes that read the log from where they stopped, as a projection does."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from django.db import connection

from benchmarks.torture import tables
from benchmarks.torture.options import Options
from benchmarks.torture.tables import Delivery
from rill_django.store.dialect import EVENTS
from rill_django.store.orm import DjangoEventStore

PAGE_SIZE = 500
IDLE_SECONDS = 0.002


class _Payload(msgspec.Struct):
    marker: str


_decode = msgspec.json.Decoder(_Payload).decode


def poll(name: str, options: Options) -> None:
    """Read and note what is read, until the run is over."""
    log = NaiveLog(tables.position_of(name)) if options.naive else Log()
    over = options.flag("stop")
    position = tables.position_of(name)
    while not over.is_up():
        deliveries = log.read(position)
        if not deliveries:
            time.sleep(IDLE_SECONDS)
        elif tables.take_effect(name, position, deliveries):
            position = deliveries[-1].position
        else:
            position = tables.position_of(name)


class Log:
    """What the library offers."""

    def __init__(self) -> None:
        self._store = DjangoEventStore()

    def read(self, position: int) -> Sequence[Delivery]:
        """Return the next page behind a position."""
        page = list(self._store.read().after(position).limit(PAGE_SIZE).stored())
        seen_at = time.time()
        return [
            Delivery(
                event.position or 0,
                event.stream,
                event.version,
                _decode(event.data).marker,
                seen_at,
            )
            for event in page
        ]


class NaiveLog:
    """What everybody writes first: the id is the position. Here it counts what it has delivered."""

    def __init__(self, delivered: int) -> None:
        self._last_id = 0
        if delivered:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT id FROM {EVENTS} ORDER BY id LIMIT 1 OFFSET {delivered - 1}"
                )
                (self._last_id,) = cursor.fetchone()

    def read(self, position: int) -> Sequence[Delivery]:
        """Return the next page behind the last id."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, stream, version, data FROM {EVENTS} "
                f"WHERE id > {self._last_id} ORDER BY id LIMIT {PAGE_SIZE}"
            )
            rows = cursor.fetchall()
        seen_at = time.time()
        self._last_id = rows[-1][0] if rows else self._last_id
        return [
            Delivery(number, stream, version, _decode(data).marker, seen_at)
            for number, (_, stream, version, data) in enumerate(rows, start=position + 1)
        ]
