"""A rebuild waits for others a little at a time, asks for more each time, and says whom it waits for."""

import re
import time
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

import pytest
from django.conf import settings
from django.db import connections, transaction

from rill_django.models import Checkpoint
from rill_django.projections.rebuilding import patience
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.patience import Patience
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.models import Holding
from tests.patience import HOPE_SECONDS
from tests.projections.rebuilds import (
    append_history,
    contents,
    customers_projection,
    read_without_waiting,
)

WAITS = "the rebuild of projections.Customers waits for "


def warnings_of(caplog):
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


class TestPatience:
    def test_pauses_grow_up_to_a_bound(self):
        one = Patience("bank.Balances")
        pauses = [one.failed("others") for _ in range(20)]
        assert 0.05 <= pauses[0] <= 0.1
        assert all(patience.LONGEST_PAUSE_SECONDS / 2 <= pause <= 2.0 for pause in pauses[6:])
        assert 0 < one.pause <= pauses[-1]

    def test_waits_longer_for_locks_each_time(self):
        one = Patience("bank.Balances")
        seconds = []
        for _ in range(5):
            seconds.append(one.for_locks)
            one.failed("others")
        assert seconds == [0.2, 0.4, 0.8, 1.6, 2.0]
        one.succeeded()
        assert one.for_locks == 0.2

    def test_says_whom_it_waits_for_not_at_once_and_not_always(self, caplog, monkeypatch):
        one = Patience("projections.Customers")
        for _ in range(10):
            with pytest.raises(ValueError), one.asking("a worker"):  # noqa: PT011
                raise ValueError
            one.failed(" timed out\nCONTEXT: a row")
            assert warnings_of(caplog) == [f"{WAITS}a worker (timed out)"] * (one.failures > 3)
        monkeypatch.setattr(patience, "SAY_EVERY_SECONDS", 0.0)
        with one.asking("a worker"):
            pass
        one.failed("statistics")
        assert warnings_of(caplog)[1:] == [f"{WAITS}statistics"]

    def test_tells_on_a_machine_that_has_just_begun(self, caplog, monkeypatch):
        monkeypatch.setattr(patience.time, "monotonic", lambda: 1.0)
        one = Patience("projections.Customers")
        for _ in range(4):
            one.failed("others")
        assert warnings_of(caplog) == [f"{WAITS}others"]


@contextmanager
def somebody_holding(lock):
    """Have another session hold a lock in an open transaction; give what ends it."""
    holding, done = Signal(), Signal()

    def hold():
        try:
            with transaction.atomic():
                lock()
                holding.set()
                done.wait(HOPE_SECONDS)
        finally:
            connections.close_all()

    thread = Thread(daemon=True, target=hold)
    thread.start()
    try:
        assert holding.wait(HOPE_SECONDS)
        yield done
    finally:
        done.set()
        thread.join(HOPE_SECONDS)


@pytest.fixture
def customers():
    with isolated_projections():
        yield customers_projection()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql",
    reason="Other databases bound every wait for a lock themselves",
)
class TestOnPostgreSQL:
    def in_vain(self, place, steps, done):
        """Take steps until three have waited for a lock in vain; return for how long they meant to."""
        limits, asked = [], []

        def look(execute, sql, params, many, context):
            asked.extend(re.findall(r"SET LOCAL lock_timeout = '(\d+)ms'", sql))
            return execute(sql, params, many, context)

        while len(limits) < 3:
            asked.clear()
            with place.connection.execute_wrapper(look):
                assert steps.step()
            limits += asked[-1:]
            assert read_without_waiting(Holding) == 5
            time.sleep(steps.pause)
        done.set()
        return [int(limit) for limit in limits]

    def test_a_worker_in_a_batch_is_not_waited_for_for_ever(self, customers, caplog):
        append_history(5, 1)
        catch_up()
        before = contents()

        place = place_for(customers, "beside")

        def lock():
            list(Checkpoint.objects.filter(name=customers.name).select_for_update())

        with (
            somebody_holding(lock) as done,
            Rebuild(place) as steps,
        ):
            limits = self.in_vain(place, steps, done)
            steps.run()
        # Doubled once more before, for the statistics.
        assert limits == [400, 800, 1600]
        assert warnings_of(caplog) == [
            f"{WAITS}a worker to end its batch (canceling statement due to lock timeout)"
        ]
        assert contents() == before
        assert not Checkpoint.objects.filter(is_beside=True).exists()

    def test_what_the_session_had_set_applies_again(self, customers):
        place = place_for(customers, "beside")
        with transaction.atomic(), place.connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '7s'")
            with place.waiting_at_most(0.4):
                cursor.execute("SHOW lock_timeout")
                assert cursor.fetchone() == ("400ms",)
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("7s",)

    def test_it_says_that_it_waits_for_those_who_use_the_tables(self, customers, caplog):
        append_history(5, 1)
        catch_up()

        place = place_for(customers, "beside")

        def lock():
            assert Holding.objects.count() == 5

        with (
            somebody_holding(lock) as done,
            Rebuild(place) as steps,
        ):
            self.in_vain(place, steps, done)
            steps.run()
        assert warnings_of(caplog) == [
            f"{WAITS}those who use the tables (canceling statement due to lock timeout)"
        ]
