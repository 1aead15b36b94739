"""Logs to check and to carry about, and damage done to them behind the store's back."""

import json
from datetime import datetime, timezone
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from rill_django.domain.records import NewEvent
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.protocol import EMPTY_STREAM
from rill_django.store.tables import StoredType

EVENT = "rill_django_event"
POSITION = "rill_django_position"
UNSEQUENCED = "rill_django_unsequenced"

OPENED, DEPOSITED = "bank.Account.opened", "bank.Account.deposited"
NOON = datetime(2024, 5, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)


def append(stream, *events, at=EMPTY_STREAM):
    return DjangoEventStore().append(stream, at, events)


def opened(number, recorded_at=None, metadata=b"{}"):
    data = b'{"number":"%b","owner":"Ann","branch":"main"}' % str(number).encode()
    return NewEvent(OPENED, data, metadata, recorded_at)


def deposited(number, amount=1, recorded_at=None):
    data = b'{"number":"%b","amount":"%d"}' % (str(number).encode(), amount)
    return NewEvent(DEPOSITED, data, b"{}", recorded_at)


def small_log(accounts=3, deposits=2):
    """Accounts whose events alternate."""
    for number in range(accounts):
        append(f"bank.Account/{number}", opened(number))
    for version in range(deposits):
        for number in range(accounts):
            append(f"bank.Account/{number}", deposited(number, version + 1), at=version)
    return DjangoEventStore().head()


def sql(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def guards_down():
    """What an owner of the tables can do: change the log behind its guards. MySQL commits at both ends."""
    return dialect_of(connection).guards.down(connection)


def delete_position(position):
    with guards_down():
        sql(f"DELETE FROM {POSITION} WHERE position = %s", position)


TAMPERS = pytest.mark.django_db(transaction=connection.vendor == "mysql")
"""Of tests that do so."""


def insert_event(
    stream, version, *, type=OPENED, data=None, metadata="{}", recorded_at=None, noted=True
):
    """Insert an event that neither has a position nor waits for one; return its id."""
    number = stream.rpartition("/")[2]
    data = json.dumps({"number": number, "owner": "Ann"}) if data is None else data
    if recorded_at is None:
        recorded_at = connection.ops.adapt_datetimefield_value(NOON)
    sql(
        f"INSERT INTO {EVENT} (stream, version, type, data, metadata, recorded_at) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        *(stream, version, type, data, metadata, recorded_at),
    )
    if noted:
        category = stream.partition("/")[0]
        first = {"stream": stream, "version": max(version, 0)}
        StoredType.objects.create(category=category, type=type, **first)
    return scalar(f"SELECT max(id) FROM {EVENT}")


def insert_position(event_id, position=None):
    if position is None:
        position = scalar(f"SELECT coalesce(max(position), 0) + 1 FROM {POSITION}")
    sql(f"INSERT INTO {POSITION} (position, event_id) VALUES (%s, %s)", position, event_id)


def insert(stream, version, **columns):
    """Insert an event with the next position."""
    insert_position(insert_event(stream, version, **columns))


def scalar(query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def export(**options):
    """What the command prints."""
    out = StringIO()
    call_command("export_events", stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def exported_events(**options):
    """What the command prints, without the trailer."""
    return "".join(export(**options).splitlines(keepends=True)[:-1])


def import_file(path, **options):
    out = StringIO()
    call_command("import_events", str(path), stdout=out, stderr=StringIO(), **options)
    return out.getvalue()
