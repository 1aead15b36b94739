"""Inline projections of the bank, for the tests, and threads that command."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Barrier

from django.db import connections

from rill_django import DELETE, Projection, RowProjection, on
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.bank.models import AuditLine, Balance, Branch, Customer, Holder, Holding
from tests.patience import HOPE_SECONDS


def owners(**attributes):
    """Make a projection in which no two accounts have the same owner."""

    class Owners(RowProjection):
        model = Holder
        key = "number"
        inline = True
        rejections = attributes.get("rejections", {})
        version = attributes.get("version", 1)

        @on(Account.opened)
        def opened(self, row, event):
            row.group = "all"
            row.alias = event.owner

        @on(Account.closed)
        def closed(self, row, event):
            return DELETE

    return Owners


def counters(**attributes):
    """Make a projection in which all accounts of a branch and owner change the same row."""

    class Counters(RowProjection):
        model = Branch
        key = ("branch", "owner")
        inline = attributes.get("inline", True)
        version = attributes.get("version", 1)

        @on(Account.opened)
        def opened(self, row, event):
            row.accounts += 1

        @on(Account.deposited, key=lambda event: ("main", "all"))
        def deposited(self, row, event):
            row.accounts += 1

    return Counters


def balances(**attributes):
    """Make a projection with a row for each account."""

    class Sums(RowProjection):
        model = Balance
        key = "number"
        inline = attributes.get("inline", True)
        version = attributes.get("version", 1)

        @on(Account.opened)
        def opened(self, row, event):
            row.owner = event.owner

        @on(Account.deposited)
        def deposited(self, row, event):
            row.balance += event.amount
            row.movements += 1

        @on(Account.withdrawn)
        def withdrawn(self, row, event):
            row.balance -= event.amount
            row.movements += 1

        @on(Account.closed)
        def closed(self, row, event):
            return DELETE

    return Sums


def customers(**attributes):
    """Make a projection of two models, by free handlers."""

    class Customers(Projection):
        models = (Customer, Holding)
        inline = True
        rejections = attributes.get("rejections", {})

        @on(Account.opened)
        def opened(self, event):
            customer = Customer.objects.create(name=event.owner)
            Holding.objects.create(customer=customer, number=event.number)

        @on(Account.deposited)
        def deposited(self, event):
            # Whoever the amount says, if there is one.
            Holding.objects.filter(number=event.number).update(customer_id=int(event.amount))

        @on(Account.withdrawn)
        def withdrawn(self, event):
            Holding.objects.filter(number=event.number).update(balance=-event.amount)

    return Customers


def lines(handle, **attributes):
    """Make a projection with one free handler of openings and deposits."""

    class Lines(Projection):
        models = (AuditLine,)
        inline = attributes.get("inline", True)
        version = attributes.get("version", 1)

        @on(Account.opened, Account.deposited)
        def happened(self, event):
            handle(event)

    return Lines


@contextmanager
def projections(*makers, **attributes):
    """Have these projections and no others."""
    with isolated_projections():
        yield [make(**attributes) for make in makers]


def at_once(*functions):
    """Call functions at the same moment, each in a thread of its own; return what they return."""
    barrier = Barrier(len(functions))

    def call(function):
        try:
            barrier.wait(HOPE_SECONDS)
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        # The projections in use go along.
        futures = [pool.submit(copy_context().run, call, one) for one in functions]
        return [one.result(HOPE_SECONDS) for one in futures]
