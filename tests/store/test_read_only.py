"""A log on a server that only reads, after a failover or on a replica: what has a position can be read."""

import logging
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from rill_django.projections import health
from rill_django.projections.status import projection_statuses
from rill_django.projections.worker import catch_up
from rill_django.store import refused_positions
from rill_django.store.orm import DjangoEventStore
from rill_django.store.trouble import Trouble, trouble_of
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor == 'sqlite'", reason="SQLite gives positions when it appends"
    ),
]


def session_only(how):
    postgresql = f"SET SESSION CHARACTERISTICS AS TRANSACTION READ {how}"
    with connection.cursor() as cursor:
        cursor.execute(
            postgresql
            if connection.vendor == "postgresql"
            else f"SET SESSION TRANSACTION READ {how}"
        )


@pytest.fixture
def read_only():
    """Two events are applied, and one waits for its position."""
    Account.open.transact("1", owner="Ann").unwrap()
    Account.deposit.transact("1", amount=1).unwrap()
    catch_up()
    Account.deposit.transact("1", amount=1).unwrap()
    session_only("ONLY")
    yield
    session_only("WRITE")


def test_what_has_a_position_is_read(read_only, caplog):
    store = DjangoEventStore()
    with caplog.at_level(logging.ERROR, "rill_django.store"):
        assert [one.version for one in store.read().stored()] == [0, 1]
        assert store.sequence() == 2
    assert caplog.text.count("Committed events wait for their positions") == 1


def test_who_wants_all_that_is_committed_is_told(read_only):
    with pytest.raises(DatabaseError) as raised:
        DjangoEventStore().head()
    assert trouble_of(raised.value) is Trouble.SERVER


def test_the_state_is_told(read_only):
    (status,) = projection_statuses(names=["bank.Balances"])
    assert (status.position, status.head, status.lag) == (2, 2, 1)
    assert "The database takes no positions" in status.unsequenced.holder
    assert any("gives no positions" in problem.text for problem in health.check())
    out = StringIO()
    with pytest.raises(CommandError, match="gives no positions"):
        call_command("projection_status", stdout=out, max_lag=100)
    assert "The database takes no positions" in out.getvalue()


def test_it_goes_on_when_writing_is_possible_again(read_only, monkeypatch):
    monkeypatch.setattr(refused_positions, "TRY_EVERY_SECONDS", 0.0)
    store = DjangoEventStore()
    assert store.sequence() == 2
    session_only("WRITE")
    assert store.sequence() == 3
    assert not store.waiting().holder
    catch_up()
    assert Balance.objects.get().balance == 2
