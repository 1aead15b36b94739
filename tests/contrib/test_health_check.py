"""The check for django-health-check."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from rill_django.projections.worker import catch_up
from tests.bank.domain import Account

pytest.importorskip("health_check.base")

from health_check.views import HealthCheckView

from rill_django.contrib.health_check import Projections

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {"names": ("bank.Balances",), "max_lag": 1}


def answer(rf, **options):
    view = HealthCheckView.as_view(
        checks=[("rill_django.contrib.health_check.Projections", {**OURS, **options})]
    )
    request = rf.get("/health/", headers={"Accept": "application/json"})
    response = asyncio.run(view(request))
    return response.status_code, " ".join(json.loads(response.content).values())


def test_well_and_unwell(rf):
    Account.open.transact("1", "Ann")
    assert answer(rf) == (200, "OK")
    Account.deposit.transact("1", 5)
    status, text = answer(rf)
    assert status == 500
    assert "bank.Balances is 2 events behind" in text
    catch_up("bank.Balances")
    assert answer(rf) == (200, "OK")


def test_no_connection_is_left_open_in_the_thread_that_ran_it():
    def check():
        Projections(**OURS).run()
        return [one.connection for one in connections.all(initialized_only=True)]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(check).result() == [None]
