"""Work that a deadlock has ended begins anew, if it is the caller's to begin."""

import pytest
from django.db import OperationalError, connection, transaction

from rill_django.store.deadlocks import TRIES, SnapshotTooOld
from rill_django.store.orm import DjangoEventStore

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time"),
]


def deadlock():
    return endings()["deadlock"]


def endings():
    """Errors by which a database ends a transaction because of others."""
    if connection.vendor == "mysql":
        return {
            "deadlock": OperationalError(1213, "Deadlock found when trying to get lock"),
            "lock": OperationalError(1205, "Lock wait timeout exceeded"),
            "changed": OperationalError(1020, "Record has changed since last read"),
        }
    from psycopg.errors import DeadlockDetected, SerializationFailure

    found = {
        "deadlock": OperationalError("deadlock detected"),
        "serialization": OperationalError("could not serialize access"),
    }
    found["deadlock"].__cause__ = DeadlockDetected()
    found["serialization"].__cause__ = SerializationFailure()
    return found


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr("rill_django.store.pauses.time.sleep", found.append)
    return found


class Work:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop()
        return "done"


def test_all_endings_because_of_others_are_got_over(pauses):
    errors = list(endings().values())
    work = Work(*errors, SnapshotTooOld("unseen"))
    assert DjangoEventStore().begun_anew(work) == "done"
    assert work.calls == len(errors) + 2
    assert len(pauses) == len(errors) + 1


def test_some_deadlocks_are_got_over():
    work = Work(deadlock(), deadlock())
    assert DjangoEventStore().begun_anew(work) == "done"
    assert work.calls == 3


def test_it_is_not_begun_for_ever():
    work = Work(*(deadlock() for _ in range(20)))
    with pytest.raises(OperationalError):
        DjangoEventStore().begun_anew(work)
    assert work.calls == TRIES


def test_other_errors_are_the_callers():
    work = Work(OperationalError("gone"))
    with pytest.raises(OperationalError, match="gone"):
        DjangoEventStore().begun_anew(work)
    assert work.calls == 1


def test_inside_a_transaction_it_is_the_callers_to_begin():
    work = Work(deadlock())
    with transaction.atomic(), pytest.raises(OperationalError):
        DjangoEventStore().begun_anew(work)
    assert work.calls == 1
