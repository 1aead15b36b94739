"""Somebody else at the sequencer: holds its lock, as another process would that does not go on."""

from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

from django.db import connection, connections, transaction

from rill_django.store import sequencer
from tests.patience import HOPE_SECONDS

LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock('rill_django_position'::regclass::oid::int, 0)",
    "mysql": "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.rill_django_position')), 5)",
}
RELEASE = "SELECT RELEASE_LOCK(SHA1(CONCAT(DATABASE(), '.rill_django_position')))"


@contextmanager
def held_sequencer():
    """Hold the sequencer's lock on another connection; yields a function that lets go of it."""
    is_held, is_over = Signal(), Signal()
    taken = []

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(LOCK[connection.vendor])
                taken.append(cursor.fetchone()[0])
                is_held.set()
                is_over.wait(HOPE_SECONDS)
                if connection.vendor == "mysql":
                    # The server notices the end of a session only some time after it.
                    cursor.execute(RELEASE)
                    cursor.fetchall()
        finally:
            is_held.set()
            connections.close_all()

    holder = Thread(daemon=True, target=hold)
    holder.start()

    def let_go():
        is_over.set()
        holder.join(HOPE_SECONDS)

    try:
        assert is_held.wait(HOPE_SECONDS)
        assert taken in ([True], [1])
        yield let_go
    finally:
        let_go()


@contextmanager
def let_go_when_waited_for(monkeypatch):
    """Somebody else is at the sequencer until it is seen that we wait for him; counts our waits."""
    waits = []
    with held_sequencer() as let_go:

        def sleep(seconds):
            waits.append(seconds)
            if len(waits) == 3:
                let_go()

        monkeypatch.setattr(sequencer.time, "sleep", sleep)
        yield waits
        monkeypatch.undo()
