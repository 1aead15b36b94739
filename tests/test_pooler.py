"""Behind a pooler in transaction mode nothing that the library sets stays with a session."""

from threading import Event as Signal
from threading import Thread

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from rill_django.models import Event
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.poolers import PROGRAM, SESSIONS, other_client, transaction_pooler
from tests.projections.inline_bank import balances
from tests.projections.rebuilds import append_history, contents, named

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
        reason="PgBouncer is for PostgreSQL",
    ),
    pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed"),
]

SETTINGS = (
    "search_path, lock_timeout, statement_timeout, idle_in_transaction_session_timeout, "
    "session_replication_role, default_transaction_isolation"
)


@pytest.fixture
def pooler(transactional_db):
    before = connections["default"]
    # Undone here: who takes the database down after the test goes to the server itself.
    with transaction_pooler() as place, pytest.MonkeyPatch.context() as patch:
        for name, value in {**place, "DISABLE_SERVER_SIDE_CURSORS": True}.items():
            patch.setitem(connections.settings["default"], name, value)
        patch.setitem(
            connections.settings["default"],
            "OPTIONS",
            {
                name: value
                for name, value in before.settings_dict["OPTIONS"].items()
                if name != "host"
            },
        )
        connections["default"] = connections.create_connection("default")
        try:
            with Others(place):
                yield place
        finally:
            connections["default"].close()
            connections["default"] = before


class Others:
    """Clients that do short transactions all the time."""

    def __init__(self, place):
        self._stop = Signal()
        self._errors = []
        self._threads = [Thread(target=self._work, args=(place,), daemon=True) for _ in range(3)]

    def _work(self, place):
        try:
            with other_client(place) as client:
                while not self._stop.is_set():
                    client.execute("SELECT 1")
                    client.commit()
                    self._stop.wait(0.001)
        except Exception as error:
            self._errors.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._errors == []


def what_is_left(place):
    """Return the settings that the pooler's sessions have, looked at all at once."""
    names = [name.strip() for name in SETTINGS.split(",")]
    columns = ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in names)
    clients = [other_client(place) for _ in range(SESSIONS)]
    try:
        # An open transaction each: so each has a session of its own.
        found = {
            (one.execute("SELECT pg_backend_pid()").fetchone()[0],): one.execute(
                f"SELECT {columns}"
            ).fetchone()
            for one in clients
        }
        assert len(found) == SESSIONS
        return set(found.values())
    finally:
        for one in clients:
            one.close()


def test_commands_workers_rebuilds_and_flush(pooler):
    fresh = what_is_left(pooler)
    assert len(fresh) == 1
    append_history(30, 9)
    catch_up()
    whole = contents()
    for _ in range(3):
        Balance.objects.update(balance=999)
        AuditLine.objects.all().delete()
        for name in ("bank.Balances", "bank.Audit"):
            assert not verify(named(name)).is_equal
            rebuild(named(name), batch_size=50)
            assert verify(named(name)).is_equal
        found = contents()
        assert {key: found[key] for key in ("balances", "audit")} == {
            key: whole[key] for key in ("balances", "audit")
        }
        Account.deposit.transact("1", amount=1).unwrap()
        catch_up()
        whole = contents()
    assert what_is_left(pooler) == fresh
    call_command("flush", interactive=False, verbosity=0)
    assert Event.objects.count() == 0
    assert what_is_left(pooler) == fresh


def test_an_inline_projection(pooler):
    fresh = what_is_left(pooler)
    with isolated_projections():
        sums = balances()
        for number in range(5):
            Account.open.transact(str(number), owner="Ann").unwrap()
            rebuild(named(sums.name))
            assert verify(named(sums.name)).is_equal
            rebuild(named(sums.name), in_place=True)
        assert Balance.objects.count() == 5
    assert what_is_left(pooler) == fresh
