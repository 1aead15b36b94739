"""Workers of an older release do not pass over events of types that they do not know."""

import os
import subprocess
import sys
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import connection

from rill_django import PARK, Aggregate, Projection, event, key, on, upcast
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import isolated_registry
from rill_django.models import Checkpoint, SkippedEvent
from rill_django.projections import health
from rill_django.projections.division import Division
from rill_django.projections.live import live_checkpoints
from rill_django.projections.mending import skip
from rill_django.projections.newer_events import UnknownTypes, unknown_types
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.registry import isolated_projections
from rill_django.projections.status import projection_statuses
from rill_django.projections.waits import NEWER_RELEASE
from rill_django.projections.worker import ProjectionStopped, ProjectionWorker, catch_up
from rill_django.store.orm import DjangoEventStore
from rill_django.store.stored_types import stored_types
from tests.bank.models import AuditLine

pytestmark = pytest.mark.django_db

OLD, NEW = ("opened",), ("opened", "closed")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rill_django.projections.pace.FIRST_PAUSE_SECONDS", 1e-6)
    monkeypatch.setattr("rill_django.projections.waits.LONGEST_PAUSE_SECONDS", 1e-5)
    stored_types.forget()


class Release:
    """A worker with the code of one release: which events it knows, and has handlers for."""

    def __init__(self, *known, ignores=(), policy=None, parts=1, handled=None):
        self.known, self.ignores, self.parts = known, ignores, parts
        self.policy = policy
        self.handled = known if handled is None else handled
        with self.code():
            self.worker = ProjectionWorker()

    @contextmanager
    def code(self):
        with isolated_registry(), isolated_projections():
            self._define()
            yield

    def _define(self):
        known, parts = self.known, self.parts

        class Shop(Aggregate, name="shop.Shop"):
            number: str = key()
            ignores = self.ignores

            if "opened" in known:

                @event
                def opened(self): ...

            if "closed" in known:

                @event
                def closed(self): ...

        class Road(Aggregate, name="shop.Road"):
            number: str = key()

            @event
            def built(self): ...

        class Lines(Projection):
            name = "test.Lines"
            models = (AuditLine,)
            partitions = parts
            if self.policy:
                on_error = self.policy

            @on(*(getattr(Shop, one) for one in self.handled))
            def happened(self, event):
                AuditLine.objects.create(text=event.identity, position=event.position)

        class Others(Projection):
            name = "test.Others"
            models = (AuditLine,)

            @on(Road.built)
            def happened(self, event):
                AuditLine.objects.create(text=event.identity, position=event.position)

        self.lines = Lines()

    def look(self, times=1):
        with self.code():
            return [self.worker.run_once() for _ in range(times)]

    def run(self):
        with self.code():
            self.worker.run_until_caught_up()
            return self.worker.stopped


def store(stream, *types):
    at = DjangoEventStore().version(stream)
    number = stream.rpartition("/")[2]
    events = [NewEvent(type, b'{"number":"%b"}' % number.encode()) for type in types]
    DjangoEventStore().append(stream, at, events)
    DjangoEventStore().head()


def applied():
    return list(AuditLine.objects.order_by("position").values_list("text", flat=True))


def at(name="test.Lines"):
    return Checkpoint.objects.get(name=name, is_beside=False).position


def mixed():
    store("shop.Shop/1", "shop.Shop.opened")
    store("shop.Shop/2", "shop.Shop.opened", "shop.Shop.closed")
    store("shop.Road/1", "shop.Road.built")
    store("shop.Shop/3", "shop.Shop.opened")


def test_the_older_one_stops_in_front_of_the_event_and_the_newer_one_applies_it():
    old, new = Release(*OLD), Release(*NEW)
    mixed()
    old.look(5)
    assert applied() == ["shop.Shop/1@0", "shop.Shop/2@0", "shop.Road/1@0"]
    assert at() == 2
    assert at("test.Others") == 5, "other projections go on"
    new.look()
    assert "shop.Shop/2@1" in applied()
    assert at() == 5
    store("shop.Shop/4", "shop.Shop.opened")
    old.look(2)
    assert at() == 6, "the older one goes on by itself"
    assert applied().count("shop.Shop/2@1") == 1


def test_it_is_the_same_for_every_batch_border(monkeypatch):
    mixed()
    for number in range(4, 8):
        store(f"shop.Shop/{number}", "shop.Shop.opened", "shop.Shop.closed", "shop.Shop.opened")
    with Release(*OLD).code():
        old = ProjectionWorker(batch_size=1)
    with Release(*NEW).code():
        new = ProjectionWorker(batch_size=1)
    releases = [(Release(*OLD), old), (Release(*NEW), new)]
    for _ in range(40):
        for release, worker in releases:
            with release.code():
                worker.run_once()
    assert len(applied()) == len(set(applied())) == 17


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("policy", [None, PARK])
def test_partitions_and_policies_make_no_difference(parts, policy):
    options = {"parts": parts, "policy": policy}
    old, new = Release(*OLD, **options), Release(*NEW, **options)
    mixed()
    old.look(10)
    assert not any("2@1" in one or "3@0" in one for one in applied())
    new.run()
    assert len(applied()) == 5


def test_it_says_so_in_status_log_and_health(caplog, monkeypatch):
    monkeypatch.setattr("rill_django.projections.waits.SAY_AFTER_SECONDS", 0)
    monkeypatch.setattr("rill_django.projections.health.LONG_SECONDS", 0.0005)
    old = Release(*OLD)
    mixed()
    old.look(5)
    with old.code():
        status = next(one for one in projection_statuses() if one.name == "test.Lines")
        (problem,) = health.check(["test.Lines"])
    assert status.description == "waiting"
    assert status.failed_event == "shop.Shop/2@1"
    assert status.reason.startswith(NEWER_RELEASE)
    for said in ("'shop.Shop.closed'", "@upcast('shop.Shop.closed')", "ignores = "):
        assert said in status.reason
    assert "waits for a worker of a newer release" in str(problem)
    assert any(NEWER_RELEASE in record.getMessage() for record in caplog.records)
    new = Release(*NEW)
    new.look()
    with new.code():
        assert projection_statuses(names=["test.Lines"])[0].description == "up to date"


def test_catching_up_gives_up_after_a_while_and_names_it(monkeypatch):
    monkeypatch.setattr("rill_django.projections.waits._LEAST_PATIENCE", 0.0)
    old = Release(*OLD)
    mixed()
    with (
        old.code(),
        pytest.raises(ProjectionStopped, match=r"shop\.Shop/2@1.*'shop\.Shop\.closed'"),
    ):
        catch_up("test.Lines")
    assert at() == 2


def test_a_type_that_the_code_knows_and_has_no_handler_for_is_passed_over():
    store("shop.Shop/1", "shop.Shop.opened", "shop.Shop.closed", "shop.Shop.opened")
    assert not Release(*NEW, handled=OLD).run()
    assert at() == 3


@pytest.mark.parametrize("named", ["ignore", ["shop.Shop.closed"], ["shop.Shop"]])
def test_so_is_one_that_the_settings_name(settings, named):
    settings.RILL = {"UNKNOWN_EVENTS": named}
    mixed()
    assert not Release(*OLD).run()
    assert at() == 5


def test_so_is_one_that_its_aggregate_ignores():
    mixed()
    assert not Release(*OLD, ignores=("closed",)).run()
    assert at() == 5


def test_so_is_one_of_an_aggregate_that_the_projection_does_not_listen_to():
    store("shop.Road/1", "shop.Road.built", "shop.Road.mended")
    store("shop.Shop/1", "shop.Shop.opened")
    old = Release(*OLD)
    old.look(3)
    assert at() == 3
    assert at("test.Others") == 1


def test_a_type_that_an_upcaster_is_for_is_known():
    release = Release(*OLD)
    store("shop.Shop/1", "shop.Shop.began", "shop.Shop.opened")
    with isolated_registry(), isolated_projections():
        release._define()
        upcast("shop.Shop.began")(lambda raw: raw.renamed("shop.Shop.opened"))
        assert unknown_types(DjangoEventStore()) == {}
        worker = ProjectionWorker()
        worker.run_until_caught_up()
    assert applied() == ["shop.Shop/1@0", "shop.Shop/1@1"]


def test_an_upcaster_for_every_event_hides_none():
    store("shop.Shop/1", "shop.Shop.opened", "shop.Shop.closed")
    release = Release(*OLD)
    with isolated_registry(), isolated_projections():
        release._define()
        upcast()(lambda raw: raw)
        worker = ProjectionWorker()
        worker.run_once()
        worker.run_once()
    assert at() == 1


def test_somebody_may_skip_the_event(monkeypatch):
    monkeypatch.setattr("rill_django.projections.waits.SAY_AFTER_SECONDS", 0)
    old = Release(*OLD)
    mixed()
    old.look(5)
    with old.code():
        skip(old.lines, "shop.Shop/2@1", "nobody needs it")
    assert SkippedEvent.objects.exists()
    assert not old.run()
    assert at() == 5


def test_other_partitions_are_made_up_to_the_event_only():
    store("shop.Shop/1", "shop.Shop.opened")
    two = Release(*OLD, parts=2)
    two.run()
    Checkpoint.objects.filter(name="test.Lines", partition=0).update(position=1)
    store("shop.Shop/2", "shop.Shop.closed")
    store("shop.Shop/3", "shop.Shop.opened")
    Release(*NEW, parts=2).look()
    Checkpoint.objects.filter(name="test.Lines", partition=1).update(position=1, seen="")
    three = Release(*OLD, parts=3)
    with three.code():
        division = Division(three.lines, DjangoEventStore())
        for _ in range(5):
            division.step(live_checkpoints(three.lines))
    assert not division.is_done
    assert [one.position for one in live_checkpoints(three.lines)] == [3, 1]


@pytest.mark.parametrize("work", [rebuild, verify])
@pytest.mark.django_db(transaction=True)
def test_rows_are_not_made_anew_without_such_events(work):
    mixed()
    old = Release(*OLD)
    with old.code(), pytest.raises(UnknownTypes, match=r"shop\.Shop\.closed.*@upcast"):
        work(old.lines)
    new = Release(*NEW)
    new.run()
    with new.code():
        work(new.lines)
    assert {"shop.Shop/2@1", "shop.Shop/3@0"} <= set(applied())


@pytest.mark.django_db(transaction=True)
def test_nor_are_those_swapped_in_that_were_begun_before():
    store("shop.Shop/1", "shop.Shop.opened", "shop.Shop.opened", "shop.Shop.opened")
    old = Release(*OLD)
    old.run()
    before = list(AuditLine.objects.order_by("pk").values())

    def meanwhile(name, position, head):
        if position == 1:
            store("shop.Shop/2", "shop.Shop.closed")

    with old.code(), pytest.raises(UnknownTypes):
        rebuild(old.lines, progress=meanwhile, batch_size=1)
    assert list(AuditLine.objects.order_by("pk").values()) == before


def test_a_look_costs_one_small_query_and_only_when_the_log_has_grown(
    django_assert_num_queries, monkeypatch
):
    from rill_django.projections import newer_events

    asked = []
    found = newer_events.unknown_types
    monkeypatch.setattr(
        newer_events, "unknown_types", lambda store: asked.append(1) or found(store)
    )
    release = Release(*NEW)
    mixed()
    release.look(5)
    assert len(asked) == 1
    with django_assert_num_queries(1):
        found(DjangoEventStore())


# A worker in a process of its own, of an older release: it does not know one of the events.
_OLDER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["RILL_TEST_NAME"]
import django
django.setup()
from rill_django.domain.registry import current_registry
from rill_django.projections.worker import ProjectionWorker
from tests.bank.domain import Account
from tests.bank.projections import Balances
registry = current_registry()
del registry.events["bank.Account.deposited"]
Balances.handlers = {type: one for type, one in Balances.handlers.items() if type != "bank.Account.deposited"}
worker = ProjectionWorker(["bank.Balances"])
worker.run_until_caught_up()
print(worker.stopped)
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_of_two_releases():
    from tests.bank.domain import Account
    from tests.bank.models import Balance

    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("no other process can open it")
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5).unwrap()
    Account.open.transact("2", "Bob").unwrap()

    def older():
        name = str(connection.settings_dict["NAME"])
        return subprocess.run(
            [sys.executable, "-c", _OLDER],
            env={**os.environ, "RILL_TEST_NAME": name, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=django_settings.BASE_DIR if hasattr(django_settings, "BASE_DIR") else None,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    said = older()
    assert "bank.Account.deposited" in said
    assert list(Balance.objects.values_list("number", flat=True)) == ["1"]
    catch_up("bank.Balances")
    assert Balance.objects.get(number="1").balance == Decimal(5)
    assert older().strip() == "{}"
    assert Balance.objects.get(number="1").balance == Decimal(5)
