"""Shares of a rebuild that were left, what has happened since, and who goes on with them."""

import os
import subprocess
import sys
from contextlib import contextmanager
from threading import Thread

import pytest
from django.conf import settings
from django.db import connection, connections

from rill_django.domain.registry import current_registry
from rill_django.domain.upcasting import upcast
from rill_django.models import Checkpoint
from rill_django.projections.checkpoint import State
from rill_django.projections.rebuild import RebuildInterrupted, RowsBesideLost, rebuild
from rill_django.projections.rebuilding import together
from rill_django.projections.rebuilding.bookmark import Bookmark
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.rebuilding.together import build_share
from rill_django.projections.worker import catch_up
from tests.bank.projections import Balances
from tests.patience import HOPE_SECONDS, wait_until, wait_until_locked_out
from tests.projections.rebuilds import append_history, contents, named

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor != 'postgresql'",
        reason="Only PostgreSQL has tables beside that others see",
    ),
]
NAME = "bank.Balances"


@pytest.fixture(autouse=True)
def worth_it(monkeypatch):
    monkeypatch.setattr(together, "WORTH_SHARING", 10)
    monkeypatch.setattr(Balances, "partitions", 2)


@pytest.fixture
def upcasters():
    """Upcasters that a test registers go again."""
    registry = current_registry()
    before = dict(vars(registry))
    registry.upcasters = list(registry.upcasters)
    registry._upcasted_types = set(registry._upcasted_types)
    yield
    vars(registry).update(before)


class After:
    """Asks to stop, but only when it was looked at so many times."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


def build(share, batches=1_000):
    """Build a share of it, in so many batches of 20 events at most."""
    try:
        return build_share(
            named(NAME), share, batch_size=20, progress=lambda *_: None, stop=After(batches - 1)
        )
    except RebuildInterrupted:
        return None


def leave_shares(*batches):
    """Leave a rebuild in which each share has come so many batches far."""
    with Rebuild(place_for(named(NAME), "beside")) as steps:
        steps.share_out(len(batches))
        for number, count in enumerate(batches):
            build((number, len(batches)), count)


def beside():
    found = Checkpoint.objects.filter(name=NAME, is_beside=True).order_by("partition")
    return [(one.partition, one.partitions, one.position) for one in found]


def first_told(**options):
    """Rebuild it; return the first position that was told."""
    told = []
    rebuild(named(NAME), progress=lambda name, position, head: told.append(position), **options)
    assert beside() == []
    return told[0]


def of_nothing(event):
    return event


def test_one_that_was_left_is_taken_up():
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1, 3, 4)
    assert first_told(batch_size=1) > 1
    assert contents() == before


def test_the_next_release_has_an_upcaster_and_divides_otherwise(upcasters):
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1, 4, 9)
    upcast("other.Thing.happened")(of_nothing)
    assert first_told(batch_size=1) == 1
    assert contents() == before


def test_a_process_with_another_division_than_its_starter_builds_nothing(upcasters):
    append_history(40, 4)
    leave_shares(1, 4, 9)
    upcast("other.Thing.happened")(of_nothing)
    marks = beside()
    with pytest.raises(RowsBesideLost, match="divided in another way"):
        build((0, 3))
    assert beside() == marks


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_share_that_nobody_knows_how_far_it_has_come(missing):
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1, 4, 9)
    Checkpoint.objects.get(is_beside=True, partition=missing).stop("", "no share but a note")
    assert first_told(batch_size=1) == 1
    assert contents() == before
    leave_shares(1, 4, 9)
    Checkpoint.objects.get(is_beside=True, partition=missing).delete()
    assert first_told(batch_size=1) == 1
    assert contents() == before


def test_what_cannot_be_built_is_not_gone_on_with():
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1, 4, 9)
    Bookmark(named(NAME), is_kept=True).stop("bank.Account/1@1", "why")
    (note,) = Checkpoint.objects.filter(is_beside=True)
    assert (note.state, note.failed_event, note.error) == (
        State.STOPPED,
        "bank.Account/1@1",
        "why",
    )
    with pytest.raises(RowsBesideLost):
        build((0, 3))
    note.resume()
    assert first_told(batch_size=1) == 1
    assert contents() == before


def splits_deposits(event):
    """An old deposit went to two accounts, of which one is of another stream."""
    number = int(event.data["number"])
    return [event, event.with_data(number=str((number + 1) % 40), amount="3")]


@pytest.mark.parametrize("batches", [(1, 4, 9), (1, 1_000, 1), (3, 2, 1_000)])
@pytest.mark.parametrize("is_gone_on_with", [False, True])
def test_events_that_are_upcast_to_several_of_different_shares(upcasters, batches, is_gone_on_with):
    upcast("bank.Account.deposited")(splits_deposits)
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    assert {(row[2], row[3]) for row in before["balances"]} == {(16, 8)}
    leave_shares(*batches)
    assert len({position for _, _, position in beside()}) > 1
    if is_gone_on_with:
        for number in range(3):
            build((number, 3))
    rebuild(named(NAME), batch_size=7)
    assert contents() == before


@contextmanager
def locked(sql, *values):
    """Hold a lock in a transaction of another connection, until the ``with`` block ends."""
    other = connections.create_connection("default")
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute(sql, values)
        yield
    finally:
        other.close()


def beside_table():
    return f'"{place_for(named(NAME), "beside").name}".bank_balance'


def test_somebody_is_still_at_a_share_that_is_taken_up():
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1, 1)
    came = []

    def build_in_thread(batches):
        try:
            came.append(build((0, 2), batches))
        except Exception as error:
            came.append(error)
        finally:
            connections.close_all()

    (_, _, begun), _ = beside()
    threads = [
        Thread(daemon=True, target=build_in_thread, args=(batches,)) for batches in (1, 1_000)
    ]
    with locked(f"LOCK TABLE {beside_table()} IN EXCLUSIVE MODE"):
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_until_locked_out(number)
    for thread in threads:
        thread.join(HOPE_SECONDS)
    assert sorted(came, key=str) == [200, None]
    (_, _, reached), _ = beside()
    assert begun < reached == 200
    rebuild(named(NAME))
    assert contents() == before


def test_somebody_has_come_further_than_the_head_that_was_seen_before(monkeypatch):
    append_history(40, 4)
    catch_up(NAME)
    before = contents()
    leave_shares(1_000, 1)
    monkeypatch.setattr(together.DjangoEventStore, "head", lambda self: 50)
    assert build((0, 2)) == 200
    monkeypatch.undo()
    assert beside()[0] == (0, 2, 200)
    rebuild(named(NAME))
    assert contents() == before


# A process of its own, on the test database.
_PROGRAM = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
import django
django.setup()
from rill_django.projections.rebuild import rebuild
from rill_django.projections.rebuilding import together
from tests.bank.projections import Balances
together.WORTH_SHARING = 10
Balances.partitions = 2
rebuild(Balances(), workers=2, batch_size=2)
"""


def program():
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "RILL_TEST_NAME": str(connection.settings_dict["NAME"])},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def sessions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


def killed_when_at_it():
    """Start a rebuild by two processes, and kill who has started them once both have built something."""
    append_history(400, 9)
    catch_up(NAME)
    starter = program()
    try:
        wait_until(lambda: len(found := beside()) == 2 and all(at for _, _, at in found))
    finally:
        starter.kill()
        starter.wait(HOPE_SECONDS)
    return starter


def test_processes_end_when_their_starter_is_killed():
    ours = sessions()
    starter = killed_when_at_it()
    before = contents()
    # Processes that are left keep the other end of the pipe open.
    starter.communicate(timeout=HOPE_SECONDS)
    wait_until(lambda: sessions() <= ours)
    assert [one[:2] for one in beside()] == [(0, 2), (1, 2)]
    rebuild(named(NAME))
    assert contents() == before


def test_a_step_that_lasts_when_the_starter_is_killed_is_waited_for():
    append_history(400, 9)
    catch_up(NAME)
    before = contents()
    starter = program()
    try:
        wait_until(lambda: len(found := beside()) == 2 and all(at for _, _, at in found))
        with locked(f"LOCK TABLE {beside_table()} IN EXCLUSIVE MODE"):
            wait_until_locked_out(2)
            marks = beside()
            starter.kill()
            starter.wait(HOPE_SECONDS)
            told = []
            again = Thread(daemon=True, target=lambda: told.append(rebuild_and_close()))
            again.start()
            wait_until_locked_out(4)
    finally:
        starter.kill()
    again.join(HOPE_SECONDS)
    (begun,) = told
    assert begun > min(at for _, _, at in marks)
    assert contents() == before
    starter.communicate(timeout=HOPE_SECONDS)


def rebuild_and_close():
    try:
        return first_told(workers=2, batch_size=500)
    finally:
        connections.close_all()
