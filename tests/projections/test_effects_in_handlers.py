"""Handlers derive rows, and do no more: they commit no events, and a rebuild calls nobody on commit."""

import logging
from contextvars import copy_context
from threading import Thread

import pytest
from django.db import connection, transaction
from django.db.models import F

from rill_django import PARK, Projection, RowProjection, commit, commit_all, on, on_batch, transact
from rill_django.domain.records import NewEvent
from rill_django.integrity.importing import Import
from rill_django.models import Checkpoint, Event, ParkedEvent
from rill_django.projections.handlers import ProjectionInHandler
from rill_django.projections.mending import retry
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rebuild import NewVersion, rebuild, verify
from rill_django.projections.worker import ProjectionStopped, catch_up
from rill_django.store.memory import MemoryEventStore
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import Append
from rill_django.store.read_only import CommitInHandler
from rill_django.testing import isolated_projections, memory_runtime, projections_up_to_date
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance
from tests.projections.rebuilds import append_history

pytestmark = pytest.mark.django_db(transaction=True)

GIFT = [NewEvent("bank.Account.deposited", b'{"number": "a", "amount": "10"}')]
LINE = (
    '{"specversion":"1.0","id":"bank.Account/c@0","source":"/","type":"bank.Account.opened",'
    '"subject":"bank.Account/c","time":"2024-05-31T12:00:00Z","streamversion":0,'
    '"data":{"number":"c","owner":"Carl"}}\n'
)


@pytest.fixture(autouse=True)
def alone():
    with isolated_projections():
        yield


def by_message():
    transact(Account.deposit.message("a", amount=10))


def by_command():
    Account.deposit.transact("a", amount=10).unwrap()


def once():
    Account.deposit.transact("a", amount=10, idempotency_key="gift")


def decided():
    commit(Account.get("a").deposit(10))


def decided_about_many():
    commit_all([Account.get("a").deposit(10)])


def nothing_new():
    commit(Account.get("a"))


def appended():
    DjangoEventStore().append("bank.Account/a", 0, GIFT)


def appended_to_many():
    DjangoEventStore().append_all([Append("bank.Account/a", 0, GIFT)])


def imported():
    list(Import(DjangoEventStore()).run([LINE.encode()]))


def in_memory():
    with memory_runtime():
        Account.open.transact("z", owner="Zoe")


def appended_in_memory():
    MemoryEventStore().append("bank.Account/a", -1, GIFT)


def in_a_test():
    with projections_up_to_date():
        by_command()


def in_a_thread_with_the_context():
    errors = []

    def work():
        try:
            by_command()
        except Exception as error:
            errors.append(error)

    thread = Thread(target=copy_context().run, args=(work,))
    thread.start()
    thread.join()
    raise errors[0]


WAYS = [
    by_message,
    by_command,
    once,
    decided,
    decided_about_many,
    nothing_new,
    appended,
    appended_to_many,
    imported,
    in_memory,
    appended_in_memory,
    in_a_test,
    in_a_thread_with_the_context,
]


def gifts(give, **attributes):
    class Gifts(Projection):
        models = (AuditLine,)
        on_error = attributes.get("on_error", Projection.on_error)
        inline = attributes.get("inline", False)
        version = attributes.get("version", 1)
        gives = True

        @on(Account.opened)
        def opened(self, event):
            AuditLine.objects.create(text="gift", position=event.version)
            if self.gives:
                give()

    return Gifts


def log():
    return list(Event.objects.order_by("id").values_list("stream", "version", "type"))


def refuses(act, kind=HandlerFailed):
    before = log()
    with pytest.raises(kind) as caught:
        act()
    assert log() == before
    return caught.value


@pytest.mark.parametrize("give", WAYS)
def test_no_events_are_committed_by_a_handler(give):
    projection = gifts(give)()
    type(projection).gives = False
    Account.open.transact("a", owner="Ann").unwrap()
    catch_up()
    type(projection).gives = True
    for act in (verify, rebuild, lambda one: rebuild(one, in_place=True)):
        error = refuses(lambda act=act: act(projection))
        assert isinstance(error.__cause__, CommitInHandler)
    Account.open.transact("b", owner="Bob").unwrap()
    refused = str(refuses(catch_up, ProjectionStopped))
    assert "projections.Gifts" in refused
    assert "@after_commit" in refused
    assert "subscribe" in refused
    stopped = Checkpoint.objects.get()
    assert (stopped.state, stopped.position) == ("stopped", 1)
    assert "CommitInHandler" in stopped.error
    assert AuditLine.objects.count() == 1
    by_command()  # Outside it is what it has always been.
    assert Account.get("a").balance == 10


def test_the_log_is_what_it_was_with_a_handler_that_catches_the_error():
    def give():
        with pytest.raises(CommitInHandler):
            by_command()

    projection = gifts(give)()
    Account.open.transact("a", owner="Ann").unwrap()
    before = log()
    catch_up()
    assert verify(projection).is_equal
    assert log() == before


def test_a_command_whose_inline_projection_commits_another_one_fails():
    gifts(by_command, inline=True)
    error = refuses(lambda: Account.open.transact("a", owner="Ann"))
    assert isinstance(error.__cause__, CommitInHandler)
    assert not AuditLine.objects.exists()


def test_what_was_parked_stays_so():
    projection = gifts(by_command, on_error=PARK)()
    Account.open.transact("a", owner="Ann").unwrap()
    before = log()
    catch_up()
    assert ParkedEvent.objects.count() == 1
    assert retry(projection).still_parked == 1
    assert log() == before


def test_nor_by_a_new_version():
    Account.open.transact("a", owner="Ann").unwrap()
    gifts(lambda: None)
    catch_up()
    with isolated_projections():
        renewal = NewVersion(gifts(by_command, version=2)())
        refuses(lambda: [None for _ in iter(renewal.step, False)])
    assert AuditLine.objects.count() == 1


def test_nor_by_handlers_of_rows_or_batches_or_key_functions():
    def key_of(event):
        by_command()
        return event.number

    class Rows(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner
            by_command()

    class Keys(RowProjection):
        model = Balance
        key = key_of

        @on(Account.opened)
        def opened(self, row, event): ...

    class Batches(Projection):
        models = (AuditLine,)

        @on_batch(Account.opened)
        def opened(self, events):
            by_command()

    Account.open.transact("a", owner="Ann").unwrap()
    Account.open.transact("b", owner="Bob").unwrap()
    for name in ("Rows", "Keys", "Batches"):
        refuses(lambda name=name: catch_up(f"projections.{name}"), ProjectionStopped)


def test_deciding_and_reading_are_free():
    seen = []

    def look():
        account = Account.get("a")
        decided = account.deposit(10)
        events = [one.type for one in DjangoEventStore().read().stream(account.stream)]
        seen.append((account.balance, decided.balance, events))

    projection = gifts(look)()
    Account.open.transact("a", owner="Ann").unwrap()
    catch_up()
    by_command()
    rebuild(projection)
    assert seen == [
        (0, 10, ["bank.Account.opened"]),
        (10, 20, ["bank.Account.opened", "bank.Account.deposited"]),  # As it is today.
    ]


def test_a_handler_has_no_projection_apply_events():
    class Other(Projection):
        models = (Balance,)

        @on(Account.opened)
        def opened(self, event): ...

    gifts(lambda: catch_up("projections.Other"))
    Account.open.transact("a", owner="Ann").unwrap()
    refuses(lambda: catch_up("projections.Gifts"), ProjectionStopped)
    assert ProjectionInHandler.__name__ in Checkpoint.objects.get().error


@pytest.mark.parametrize("using", [None, "default"])
def test_what_handlers_give_to_on_commit_is_for_live_rows(using, caplog):
    called = []

    class Mails(RowProjection):
        model = Balance
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner
            transaction.on_commit(lambda: called.append(event.number), using=using)

    append_history(3, 0)
    catch_up()
    assert sorted(called) == ["0", "1", "2"]
    called.clear()
    projection = Mails()
    with caplog.at_level(logging.WARNING, "rill_django.projections"):
        assert verify(projection, batch_size=1).is_equal
        rebuild(projection, batch_size=1)
        rebuild(projection, in_place=True, batch_size=1)
    assert called == []
    told = [one.getMessage() for one in caplog.records if "on_commit" in one.getMessage()]
    assert len(told) == 3  # Once by each.
    assert "projections.Mails" in told[0]
    assert "opened" in told[0]
    append_history(1, 0, first=3)
    catch_up()
    assert called == ["3"]
    transaction.on_commit(lambda: called.append("outside"))
    assert called == ["3", "outside"]


def test_also_those_of_inline_projections_and_new_versions():
    called = []

    def mails(version):
        class Mails(Projection):
            models = (AuditLine,)
            inline = True

            @on(Account.opened)
            def opened(self, event):
                AuditLine.objects.create(text=event.number, position=event.version)
                transaction.on_commit(lambda: called.append(event.number))

        Mails.version = version
        return Mails()

    mails(1)
    Account.open.transact("a", owner="Ann").unwrap()
    assert called == ["a"]
    with isolated_projections():
        mails(2)
        catch_up()
        assert Checkpoint.objects.get().version == 2
    assert called == ["a"]


def by_orm():
    total, _ = Balance.objects.get_or_create(number="total")
    total.movements += 1
    total.save()


def by_update():
    Balance.objects.update_or_create(number="total", create_defaults={"movements": 1})
    Balance.objects.filter(number="total").update(movements=F("movements") + 1)


def by_sql():
    by_orm()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bank_balance SET movements = movements + 1")


def by_deleting():
    Balance.objects.create(number="gone")
    Balance.objects.filter(number="gone").delete()


@pytest.mark.parametrize("write", [by_orm, by_update, by_sql, by_deleting])
@pytest.mark.parametrize("again", [rebuild, verify, lambda one: rebuild(one, in_place=True)])
def test_rows_of_others_are_not_written_once_more(write, again):
    class Lines(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event):
            AuditLine.objects.create(text=event.identity, position=event.position)
            assert event.owner != Balance.objects.filter(number="nobody").first()
            write()

    for number in "123":
        Account.open.transact(number, "Ann").unwrap()
    catch_up()
    before = list(Balance.objects.values())
    lines = list(AuditLine.objects.values())
    with pytest.raises(
        HandlerFailed, match=r"writes to bank\.Balance, which is not one of its models"
    ):
        again(Lines())
    assert list(Balance.objects.values()) == before
    assert list(AuditLine.objects.values()) == lines
    Account.open.transact("4", "Ann").unwrap()
    catch_up()
    assert AuditLine.objects.count() == 4
