"""`ProjectionsMixin`, as users of Django's test runner have it."""

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from rill_django import RowProjection, after_commit, on
from rill_django.projections.worker import catch_up
from rill_django.testing import ProjectionsMixin, isolated_projections, isolated_triggers
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Customer


class InTestCase(ProjectionsMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        Account.open.transact("0", "Zoe").unwrap()
        catch_up()

    def setUp(self):
        Account.open.transact("1", "Ann").unwrap()

    def test_what_set_up_did_is_there(self):
        assert set(Balance.objects.values_list("owner", flat=True)) == {"Ann", "Zoe"}

    def test_what_the_test_does_is_there_at_once(self):
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get(pk="1").balance == 5

    def test_inside_a_transaction_it_waits_for_the_end(self):
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get(pk="1").balance == 5

    def test_triggers_need_the_callbacks_of_the_commit(self):
        told = []
        with isolated_triggers():
            after_commit(Account.deposited)(told.append)
            Account.deposit.transact("1", 5).unwrap()
            assert told == []
            with self.captureOnCommitCallbacks(execute=True):
                Account.deposit.transact("1", 6).unwrap()
        assert [event.amount for event in told] == [6]

    async def test_in_an_async_test(self):
        from asgiref.sync import sync_to_async

        await sync_to_async(Account.deposit.transact)("1", 5)
        assert (await Balance.objects.aget(pk="1")).balance == 5


class RowsOfTheTest(ProjectionsMixin, TestCase):
    """Made by a factory, before there are events: they are kept, and events are applied to them."""

    def test_of_a_worker(self):
        Balance.objects.create(number="9", owner="Zoe", balance=100)
        Balance.objects.create(number="1", owner="Bob", balance=100)
        Account.open.transact("1", "Ann").unwrap()
        Account.deposit.transact("1", 5).unwrap()
        assert Balance.objects.get(pk="9").balance == 100
        assert Balance.objects.get(pk="1").balance == 105

    def test_of_commands(self):
        with isolated_projections():

            class Owners(RowProjection):
                model = Customer
                key = "name"
                inline = True

                @on(Account.opened, key="owner")
                def opened(self, row, event):
                    row.accounts += 1

            Customer.objects.create(name="Ann", accounts=4)
            Account.open.transact("1", "Ann").unwrap()
            assert Customer.objects.get().accounts == 5


class OnlyOne(ProjectionsMixin, TestCase):
    followed_projections = ("bank.Audit",)

    def test_the_others_stay_behind(self):
        Account.open.transact("1", "Ann").unwrap()
        assert AuditLine.objects.exists()
        assert not Balance.objects.exists()


class InTransactionTestCase(ProjectionsMixin, TransactionTestCase):
    def test_a_transaction_ends_by_itself(self):
        with transaction.atomic():
            Account.open.transact("1", "Ann").unwrap()
        assert Balance.objects.get().owner == "Ann"
