"""Numbers that clients send: none loses a digit, and none stops the house."""

import json
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from rest_framework.test import APIClient

from rill_django.projections.worker import ProjectionWorker
from tests.bank.domain import Account
from tests.bank.models import Balance

pytestmark = pytest.mark.django_db


@pytest.fixture
def deposit():
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_user("ann"))
    Account.open.transact("1", owner="Ann").unwrap()
    url = reverse("rill_django:command", args=("bank.Account.deposit",))

    def send(amount, more=""):
        body = f'{{"number": "1", "amount": {amount}{more}}}'
        return client.post(url, body, content_type="application/json")

    return send


@pytest.mark.parametrize(
    "digits",
    ["0.1", "123456789012345.67", "9007199254740993.0", '"123456789012345.67"', "5", "1e2"],
)
def test_all_digits_of_an_amount_arrive(deposit, digits):
    response = deposit(digits)
    assert response.status_code == 200
    amount = Decimal(digits.strip('"'))
    assert Decimal(response.json()["events"][0]["data"]["amount"]) == amount
    assert Account.get("1").balance == amount


@pytest.mark.parametrize(
    "amount",
    [
        *('"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', "NaN", "Infinity", "1e400000"),
        *('"1E+30"', '"1E+999999"', '"1E+2000000"', '"1E-2000000"', "9" * 2_000, "1e30", "true"),
    ],
)
def test_an_amount_that_is_none_is_400_and_stops_nobody(deposit, amount):
    deposit("5")
    response = deposit(amount)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert Account.get("1").balance == 5
    worker = ProjectionWorker(["bank.Balances"])
    worker.run_until_caught_up()
    assert not worker.stopped
    assert Balance.objects.get(number="1").balance == 5


@pytest.mark.parametrize("text", ['"a\\u0000"', '"\\ud800"'])
def test_a_text_that_no_database_keeps_is_400(deposit, text):
    assert deposit("5", f', "number": {text}').status_code == 400


def test_a_body_in_another_encoding_is_read():
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_user("bob"))
    url = reverse("rill_django:command", args=("bank.Account.open",))
    body = json.dumps({"number": "2", "owner": "Zoë"}, ensure_ascii=False).encode("latin-1")
    kind = "application/json; charset=latin-1"
    assert client.generic("POST", url, body, content_type=kind).status_code == 200
    assert Account.get("2").owner == "Zoë"
    kind = "application/json; charset=klingon"
    assert client.generic("POST", url, body, content_type=kind).status_code == 400
