"""While handlers run, what they read is what the projection writes, whatever the project's routers say."""

import asyncio
from contextlib import contextmanager
from threading import Thread

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.models import F, Prefetch
from django.test.utils import override_settings

from rill_django import PARK, Projection, RowProjection, on, on_batch
from rill_django.models import ParkedEvent
from rill_django.projections.mending import retry
from rill_django.projections.rebuild import rebuild, verify
from rill_django.projections.worker import catch_up
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Card, Customer, Holding

pytestmark = pytest.mark.django_db(transaction=True)


class PrimaryAndReplica:
    """Sends reads to a replica. There is none, so that each of them is an error."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, *_, **hints):
        return True


@contextmanager
def reads_on_a_replica():
    with override_settings(DATABASE_ROUTERS=["tests.projections.test_routing.PrimaryAndReplica"]):
        yield


@pytest.fixture(autouse=True)
def replica():
    connections.databases["replica"] = {
        **connections.databases["default"],
        "ENGINE": "django.db.backends.dummy",
    }
    with isolated_projections(), reads_on_a_replica():
        yield
    del connections.databases["replica"]
    if hasattr(connections._connections, "replica"):
        del connections["replica"]


def on_primary(model):
    return model.objects.using("default")


def history(accounts=2, deposits=3):
    for number in range(accounts):
        Account.open.transact(str(number), owner="Ann").unwrap()
        for _ in range(deposits):
            Account.deposit.transact(str(number), amount=1).unwrap()


def first():
    return Customer.objects.filter(name="Ann").first()


def one_of_many():
    return next(iter(Customer.objects.in_bulk(field_name="name").values()), None)


def raw():
    table = Customer._meta.db_table
    return next(iter(Customer.objects.raw(f"SELECT * FROM {table}")), None)


def anew():
    customer = Customer.objects.using(None).get(name="Ann") if first() else None
    if customer is not None:
        customer.accounts = -1
        customer.refresh_from_db()
    return customer


def deferred():
    return Customer._base_manager.defer("accounts").filter(name="Ann").first()


def over_relations():
    holding = Holding.objects.select_related("customer").filter(customer__name="Ann").first()
    if holding is None:
        return None
    customer = Holding.objects.get(pk=holding.pk).customer  # By a query of its own.
    assert customer.holdings.count() == 1
    assert customer.holdings.get().customer == customer
    prefetched = Customer.objects.prefetch_related(Prefetch("holdings", Holding.objects.all()))
    assert [len(one.holdings.all()) for one in prefetched] == [1]
    return customer


def awaited():
    async def find():
        return await Customer.objects.filter(name="Ann").afirst()

    return async_to_sync(find)()


WAYS = [first, one_of_many, raw, anew, deferred, over_relations, awaited]


def counting(find, **attributes):
    """Count events by reading the count and writing it back."""

    class Counting(Projection):
        models = (Customer, Holding)
        name = "bank.Counting"
        on_error = attributes.get("on_error", Projection.on_error)
        inline = attributes.get("inline", False)

        @on(Account.opened, Account.deposited)
        def happened(self, event):
            if attributes.get("fails"):
                raise ZeroDivisionError
            customer = find()
            if customer is None:
                customer = Customer.objects.create(name="Ann")
                Holding.objects.create(customer=customer, number="1")
            customer.accounts += 1
            customer.save()

    return Counting


def counted():
    return on_primary(Customer).get().accounts


@pytest.mark.parametrize("find", WAYS)
def test_free_handlers_read_what_they_have_written(find):
    projection = counting(find)()
    history()
    catch_up()
    assert counted() == 8
    found = verify(projection)
    assert found.is_equal
    rebuild(projection)
    assert counted() == 8
    rebuild(projection, in_place=True)
    assert counted() == 8


def test_also_those_of_inline_projections():
    projection = counting(first, inline=True)()
    history()
    assert counted() == 8
    rebuild(projection)
    assert counted() == 8


def test_also_on_the_retry_of_what_was_parked():
    failing = {"fails": True}
    cls = counting(first, on_error=PARK, **failing)
    history(1)
    catch_up()
    assert on_primary(ParkedEvent).count() == 4
    with isolated_projections():
        projection = counting(first, on_error=PARK)()
    assert cls.name == projection.name
    assert retry(projection).applied == 4
    assert counted() == 4


def test_also_handlers_of_several_events():
    class Batches(Projection):
        models = (Customer,)

        @on_batch(Account.deposited)
        def happened(self, events):
            for _ in events:
                customer, _ = Customer.objects.get_or_create(name="Ann")
                Customer.objects.filter(pk=customer.pk).update(accounts=F("accounts") + 1)
                customer.refresh_from_db()
                assert customer.accounts

    history()
    catch_up()
    assert counted() == 6


def test_also_key_functions_of_every_kind():
    def number(event):
        assert not AuditLine.objects.exists()
        return event.number

    class Keyed(RowProjection):
        model = Balance
        key = number
        partitions = 2

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = str(AuditLine.objects.count())

        @on(Account.deposited, key=number)
        def deposited(self, row, event):
            row.balance += event.amount

    class Own(Projection):
        models = (Branch,)
        partitions = 2
        on_error = PARK

        def keys_of(self, event):
            return (str(AuditLine.objects.count()),)

        @on(Account.opened)
        def opened(self, event):
            Branch.objects.create(branch=event.number, owner=event.owner)

    history()
    catch_up()
    assert sorted(on_primary(Balance).values_list("number", "balance")) == [("0", 3), ("1", 3)]
    assert on_primary(Branch).count() == 2
    rebuild(Keyed(), workers=2)
    assert verify(Keyed()).is_equal
    assert verify(Own()).is_equal


def test_a_row_leads_to_others_of_the_same_database():
    class Cards(RowProjection):
        model = Card
        key = "number"

        @on(Account.opened)
        def opened(self, row, event):
            row.account_id = event.number

        @on(Account.deposited)
        def deposited(self, row, event):
            row.uses += 1 if row.account.owner == "Ann" else 100

    on_primary(Balance).create(number="0", owner="Ann")
    history(1)
    catch_up()
    assert on_primary(Card).get().uses == 3


def test_routers_are_asked_everywhere_else():
    seen = {}

    class Looking(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event):
            thread = Thread(target=lambda: seen.update(thread=router.db_for_read(AuditLine)))
            thread.start()
            thread.join()
            seen.update(own=router.db_for_read(AuditLine), task=asyncio.run(self.ask()))
            with pytest.raises(ImproperlyConfigured):
                AuditLine.objects.using("replica").count()  # Their own word.

        async def ask(self):
            return router.db_for_read(AuditLine)

    history(1)
    catch_up()
    assert seen == {"thread": "replica", "own": "default", "task": "default"}
    assert router.db_for_read(AuditLine) == "replica"
    assert router.db_for_write(AuditLine) == "default"
    with pytest.raises(ImproperlyConfigured):
        AuditLine.objects.count()


class Fickle:
    """Changes its mind, as one does that looks at a thread's or a request's state."""

    writes = "default"

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        if model is get_user_model():
            return "staff"
        return self.writes


def test_the_projections_own_rows_are_written_where_it_began():
    class Writing(Projection):
        models = (AuditLine,)

        @on(Account.opened)
        def opened(self, event):
            Fickle.writes = "replica"
            line = AuditLine.objects.create(text="created", position=event.position)
            line.text = "saved"
            line.save()
            AuditLine.objects.filter(pk=line.pk).update(position=F("position") + 1)
            AuditLine.objects.bulk_create([AuditLine(text="bulk", position=1)])
            AuditLine.objects.get(text="bulk").delete()
            # What is not the projection's is where the routers have it written: there it is up to date.
            assert router.db_for_read(get_user_model()) == "staff"
            assert router.db_for_read(Balance) == "replica"
            Fickle.writes = "default"

    Account.open.transact("1", owner="Ann").unwrap()
    with override_settings(DATABASE_ROUTERS=["tests.projections.test_routing.Fickle"]):
        catch_up()
    assert list(on_primary(AuditLine).values_list("text", "position")) == [("saved", 2)]


def test_routers_that_are_set_anew_are_still_behind():
    counting(first)
    history(1)
    for _ in range(2):
        with reads_on_a_replica():
            Account.deposit.transact("0", amount=1).unwrap()
            catch_up()
            with pytest.raises(ImproperlyConfigured):
                Customer.objects.count()
    assert counted() == 6
