"""Several processes that build one projection: how its events are divided, and brought together again."""

import os
import signal
from multiprocessing import active_children
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connection, connections

from rill_django import Projection, RowProjection, on
from rill_django.domain.records import NewEvent
from rill_django.models import Checkpoint
from rill_django.projections.rebuild import RebuildInterrupted, ShareFailed, ShareLost, rebuild
from rill_django.projections.rebuilding import together
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.shares import Shares, has_rows_by_stream
from rill_django.projections.rebuilding.steps import Rebuild
from rill_django.projections.rebuilding.together import build_share, can_be_divided
from rill_django.projections.worker import catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import ExpectedVersion
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch
from tests.bank.projections import Audit, Balances, Branches
from tests.projections.rebuilds import append_history, contents, named

pytestmark = pytest.mark.django_db(transaction=True)

only_beside = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="Only PostgreSQL has tables beside that others see"
)
SPLIT = {"bank.Balances": Balances, "bank.Branches": Branches, "bank.Audit": Audit}


@pytest.fixture(autouse=True)
def worth_it(monkeypatch):
    monkeypatch.setattr(together, "WORTH_SHARING", 10)
    for projection in SPLIT.values():
        monkeypatch.setattr(projection, "partitions", 2)


def beside(projection):
    found = Checkpoint.objects.filter(name=projection.name, is_beside=True).order_by("partition")
    return [(one.partition, one.partitions, one.position) for one in found]


def test_which_projections_have_rows_by_stream():
    with isolated_projections():

        class Other(RowProjection):
            model = Balance
            key = "number"

            @on(Account.opened)
            def opened(self, row, event): ...

            @on(Account.deposited, key=lambda event: event.number)
            def deposited(self, row, event): ...

        class Own(Projection):
            models = (AuditLine,)

            @on(Account.opened)
            def opened(self, event): ...

            def keys_of(self, event):
                return (event.owner,)

        by_stream = {one: has_rows_by_stream(one()) for one in (*SPLIT.values(), Other, Own)}
    assert by_stream == {Balances: True, Branches: False, Audit: True, Other: False, Own: False}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("of", [1, 2, 5])
def test_every_event_is_in_one_share(name, of):
    append_history(30, 2)
    projection, store = named(name), DjangoEventStore()
    shares = Shares(projection, of)
    found, keys = [], []
    for number in range(of):
        batch = shares.read(number, store, 0, store.head(), 1_000)
        assert batch.end == 90
        found += [event.position for event in batch.events]
        keys += {key for event in batch.events for key in projection.keys_of(event)}
    assert len(keys) == len(set(keys))  # None is in two of them.
    wanted = [e.position for e in store.read() if e.type in projection.handlers]
    assert sorted(found) == wanted


def test_what_can_be_divided(monkeypatch):
    assert can_be_divided(named("bank.Balances")) == (connection.vendor == "postgresql")
    monkeypatch.setattr(Balances, "partitions", 1)
    assert not can_be_divided(named("bank.Balances"))


@pytest.mark.parametrize("name", SPLIT)
def test_the_rows_are_those_of_one_process(name):
    append_history(60, 4)
    catch_up(name)
    before = contents()
    Balance.objects.update(balance=999)
    Branch.objects.all().delete()
    AuditLine.objects.all().delete()
    told = []
    position = rebuild(
        named(name), workers=2, progress=lambda name, position, head: told.append((position, head))
    )
    assert position == 300
    assert told[-1] == (300, 300)
    assert contents() == before
    assert beside(named(name)) == []
    live = Checkpoint.objects.filter(name=name).values_list("partition", "partitions", "position")
    assert sorted(live) == [(0, 2, 300), (1, 2, 300)]


@only_beside
def test_writers_and_a_worker_go_on():
    append_history(40, 4)
    catch_up("bank.Balances")
    stop, errors = Signal(), []

    def write():
        try:
            turn = 0
            while not stop.wait(0.002):
                Account.deposit.transact(str(turn % 40), 1).unwrap()
                turn += 1
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    writer = Thread(daemon=True, target=write)
    writer.start()
    try:
        for _ in range(2):
            rebuild(named("bank.Balances"), workers=2, batch_size=500)
            catch_up("bank.Balances")
    finally:
        stop.set()
        writer.join()
    assert errors == []
    catch_up("bank.Balances")
    rows = contents()
    rebuild(named("bank.Balances"), in_place=True)
    assert contents() == rows


@only_beside
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("name", SPLIT)
def test_shares_that_have_come_unequally_far_are_gathered(name, workers):
    append_history(60, 4)
    catch_up(name)
    before = contents()
    projection = named(name)
    with Rebuild(place_for(projection, "beside")) as steps:
        steps.share_out(2)
        one = build_share(
            projection, (1, 2), batch_size=None, progress=lambda *_: None, stop=Signal()
        )
        assert one == 300
        stop = Signal()
        stop.set()
        with pytest.raises(RebuildInterrupted):
            build_share(projection, (0, 2), batch_size=20, progress=lambda *_: None, stop=stop)
    left = beside(projection)
    assert [numbers[:2] for numbers in left] == [(0, 2), (1, 2)]
    assert 0 < left[0][2] < left[1][2] == 300
    told = []
    rebuild(projection, workers=workers, progress=lambda name, at, head: told.append(at))
    assert min(told) > 0
    assert contents() == before
    assert beside(projection) == []


@only_beside
def test_an_interrupted_one_goes_on():
    append_history(60, 4)
    catch_up("bank.Balances")
    before = contents()
    stop = Signal()
    with pytest.raises(RebuildInterrupted, match="goes on from there"):
        rebuild(
            named("bank.Balances"),
            workers=2,
            batch_size=7,
            progress=lambda *_: stop.set(),
            stop=stop,
        )
    assert [one[:2] for one in beside(Balances)] == [(0, 2), (1, 2)]
    assert rebuild(named("bank.Balances"), workers=2) == 300
    assert contents() == before


@only_beside
def test_a_killed_process_costs_no_more_than_its_last_batch():
    append_history(60, 4)
    catch_up("bank.Balances")
    before = contents()

    def kill_one(name, position, head):
        for child in active_children()[:1]:
            os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ShareLost, match="was killed"):
        rebuild(named("bank.Balances"), workers=2, batch_size=7, progress=kill_one)
    assert [one[:2] for one in beside(Balances)] == [(0, 2), (1, 2)]
    rebuild(named("bank.Balances"))
    assert contents() == before
    assert beside(Balances) == []


@only_beside
def test_an_event_that_cannot_be_read_leaves_the_rows_as_they_are():
    append_history(20, 4)
    catch_up("bank.Balances")
    before = contents()
    event = NewEvent("bank.Account.deposited", b'{"number": "7", "amount": "much"}')
    DjangoEventStore().append("bank.Account/7", ExpectedVersion.ANY, [event])
    with pytest.raises(ShareFailed, match=r"bank.Account/7@5"):
        rebuild(named("bank.Balances"), workers=2)
    assert contents() == before
    assert beside(Balances) == []
