"""Somebody else at the sequencer: holds its lock, as another process would that does not go on."""

from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

from django.db import connection, connections, transaction

LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock(hashtext('rill_django_position'), 0)",
    "mysql": "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.rill_django_position')), 5)",
}


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
                is_over.wait(60)
        finally:
            is_held.set()
            connections.close_all()

    holder = Thread(daemon=True, target=hold)
    holder.start()

    def let_go():
        is_over.set()
        holder.join(20)

    try:
        assert is_held.wait(20)
        assert taken in ([True], [1])
        yield let_go
    finally:
        let_go()
