"""The endpoints, through Django REST framework's test client."""

import subprocess
import sys
import tracemalloc
from contextvars import Context
from datetime import date
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from rill_django import Aggregate, command, commit, event, key
from rill_django.api.views import LARGEST_PAGE_IN_BYTES, LOOK_AT_MOST
from rill_django.conf import configuration
from rill_django.domain.records import NewEvent
from rill_django.domain.registry import current_registry
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_user("ann"))
    return client


def send(client, name, **fields):
    headers = fields.pop("headers", None)
    url = reverse("rill_django:command", args=(name,))
    return client.post(url, fields, format="json", headers=headers)


def test_an_accepted_command_answers_with_its_events(client):
    response = send(client, "bank.Account.open", number="1", owner="Ann")
    assert response.status_code == 200
    body = response.json()
    assert (body["stream"], body["version"]) == ("bank.Account/1", 0)
    (happened,) = body["events"]
    assert happened["id"] == "bank.Account/1@0"
    assert happened["type"] == "bank.Account.opened"
    assert happened["data"] == {"number": "1", "owner": "Ann", "branch": "main"}
    assert response["ETag"] == '"0"'
    assert Account.get("1").owner == "Ann"


def test_a_rejection_is_422_with_reason_and_data(client):
    Account.open.transact("1", "Ann").unwrap()
    response = send(client, "bank.Account.withdraw", number="1", amount="5")
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == 422
    assert (body["reason"], body["data"]) == ("insufficient-funds", {"available": "0"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"number": "1"}, "amount"),
        ({"number": "1", "amount": "-5"}, "amount"),
        ({"number": "1", "amount": "five"}, "amount"),
        ({"number": 1, "amount": "5"}, "number"),
        ({"number": "", "amount": "5"}, "number"),
        ({"number": "1", "amount": "5", "currency": "EUR"}, "currency"),
    ],
)
def test_a_wrong_message_is_400_and_names_the_field(client, fields, field):
    response = send(client, "bank.Account.withdraw", **fields)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["field"] == field


@pytest.mark.parametrize("body", ["[]", '"text"', "3", "{", ""])
def test_a_body_that_is_no_object_is_400(client, body):
    url = reverse("rill_django:command", args=("bank.Account.withdraw",))
    response = client.post(url, body, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_an_unknown_command_is_404(client):
    response = send(client, "bank.Account.steal", number="1")
    assert response.status_code == 404
    assert "bank.Account.steal" in response.json()["detail"]


def test_another_form_than_json_is_415(client):
    url = reverse("rill_django:command", args=("bank.Account.open",))
    response = client.post(url, {"number": "1", "owner": "Ann"}, format="multipart")
    assert response.status_code == 415
    assert response["Content-Type"] == "application/problem+json"


def test_if_match_with_an_old_version_is_412(client):
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5).unwrap()
    response = send(
        client, "bank.Account.deposit", number="1", amount="1", headers={"If-Match": '"0"'}
    )
    assert response.status_code == 412
    assert (response.json()["expected_version"], response.json()["actual_version"]) == (0, 1)
    assert Account.get("1").balance == 5


def test_if_match_with_the_current_version_is_accepted(client):
    Account.open.transact("1", "Ann").unwrap()
    response = send(
        client, "bank.Account.deposit", number="1", amount="1", headers={"If-Match": '"0"'}
    )
    assert response.status_code == 200
    assert response["ETag"] == '"1"'


def test_if_match_that_is_no_version_is_400(client):
    response = send(
        client, "bank.Account.deposit", number="1", amount="1", headers={"If-Match": "abc"}
    )
    assert response.status_code == 400
    assert "If-Match" in response.json()["detail"]


def test_an_idempotency_key_makes_repetitions_harmless(client):
    Account.open.transact("1", "Ann").unwrap()
    headers = {"Idempotency-Key": "k1"}
    first = send(client, "bank.Account.deposit", number="1", amount="5", headers=headers)
    again = send(client, "bank.Account.deposit", number="1", amount="5", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["version"] == first.json()["version"] == 1
    assert Account.get("1").balance == 5
    other = send(client, "bank.Account.deposit", number="1", amount="6", headers=headers)
    assert other.status_code == 422
    assert other.json()["title"] == "Idempotency key used before"


def test_an_idempotency_key_is_its_users_own(client):
    Account.open.transact("1", "Ann").unwrap()
    headers = {"Idempotency-Key": "k1"}
    send(client, "bank.Account.deposit", number="1", amount="5", headers=headers)
    client.force_authenticate(get_user_model().objects.create_user("bob"))
    other = send(client, "bank.Account.deposit", number="1", amount="6", headers=headers)
    assert other.status_code == 200


def test_an_idempotency_key_that_is_too_long_is_400(client):
    headers = {"Idempotency-Key": "k" * 201}
    response = send(client, "bank.Account.open", number="1", owner="Ann", headers=headers)
    assert response.status_code == 400


def test_a_race_that_is_lost_again_and_again_is_409(client, monkeypatch):
    monkeypatch.setattr("rill_django.store.pauses.time.sleep", lambda seconds: None)
    name = "tests.Contested"

    class Contested(Aggregate, name=name):
        id: str = key()

        @event
        def taken(self) -> "Contested":
            """Somebody took it."""
            return self

        @command
        def take(self) -> "Contested":
            """Take it, while somebody else always is a little faster."""
            somebody_else = Context()
            somebody_else.run(lambda: commit(Contested.get(self.id).taken()).unwrap())
            return self.taken()

    try:
        response = send(client, f"{name}.take", id="1")
        assert response.status_code == 409
        assert response.json()["actual_version"] == configuration().conflict_tries - 1
    finally:
        for types in (current_registry().aggregates, current_registry().commands):
            for one in [one for one in types if one.startswith(name)]:
                del types[one]
        del current_registry().events[f"{name}.taken"]


def test_the_feed_pages_through_the_log(client):
    Account.open.transact("1", "Ann").unwrap()
    for _ in range(4):
        Account.deposit.transact("1", 5).unwrap()
    first = client.get(reverse("rill_django:events"), {"limit": 3}).json()
    assert [one["position"] for one in first["events"]] == [1, 2, 3]
    assert (first["next_after"], first["head"]) == (3, 5)
    second = client.get(reverse("rill_django:events"), {"after": 3, "limit": 3}).json()
    assert [one["position"] for one in second["events"]] == [4, 5]
    assert second["next_after"] == 5
    end = client.get(reverse("rill_django:events"), {"after": 5}).json()
    assert (end["events"], end["next_after"]) == ([], 5)


def test_the_feed_can_be_narrowed_and_still_gets_on(client):
    Account.open.transact("1", "Ann").unwrap()
    Account.deposit.transact("1", 5).unwrap()
    url = reverse("rill_django:events")
    opened = client.get(url, {"type": "bank.Account.opened"}).json()
    assert [one["type"] for one in opened["events"]] == ["bank.Account.opened"]
    assert opened["next_after"] == 2
    assert len(client.get(url, {"category": "bank.Account"}).json()["events"]) == 2
    assert client.get(url, {"category": "bank.Acc"}).json()["events"] == []


def test_the_feed_looks_at_so_many_events_and_says_where_to_go_on(client):
    """However few are wanted, no request scans the whole log."""
    deposit = NewEvent("bank.Account.deposited", b'{"number":"1","amount":"1"}', b"{}")
    DjangoEventStore().append("bank.Account/1", -1, [deposit] * (LOOK_AT_MOST + 100))
    Account.open.transact("2", "Ann").unwrap()
    url = reverse("rill_django:events")
    for query in ({"type": "bank.Account.opened"}, {"category": "registration.Account"}):
        first = client.get(url, query).json()
        assert (first["events"], first["next_after"]) == ([], LOOK_AT_MOST)
        assert first["head"] == LOOK_AT_MOST + 101
    second = client.get(url, {"type": "bank.Account.opened", "after": LOOK_AT_MOST}).json()
    assert [one["stream"] for one in second["events"]] == ["bank.Account/2"]
    assert second["next_after"] == second["head"]
    for query in ({"type": "nobody.Ever.stored"}, {"category": "nobody.Ever"}):
        assert client.get(url, query).json()["next_after"] == first["head"]
    # Not narrowed, nothing is passed over.
    assert client.get(url, {"limit": 3}).json()["next_after"] == 3


@pytest.mark.parametrize("of_stream", [False, True])
def test_pages_are_bounded_in_bytes(client, of_stream):
    long = NewEvent("letters.Letter.written", b'{"text":"%s"}' % (b"x" * 900_000), b"{}")
    for version in range(-1, 19, 5):
        DjangoEventStore().append("letters.Letter/1", version, [long] * 5)
    url, place, name = reverse("rill_django:events"), "position", "after"
    if of_stream:
        url, place, name = (
            reverse("rill_django:stream", args=("letters.Letter/1",)),
            "version",
            "from_version",
        )
    found, query = [], {"limit": 1_000}
    while len(found) < 20:
        tracemalloc.start()
        body = client.get(url, query).json()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 1 <= len(body["events"]) <= 2
        assert peak < 25 * LARGEST_PAGE_IN_BYTES
        found += [one[place] for one in body["events"]]
        query[name] = body["next_after"] if not of_stream else found[-1] + 1
    assert found == list(range(20)) if of_stream else list(range(1, 21))


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": "-1"}, {"limit": "0"}, {"limit": "1001"}]
)
def test_a_wrong_parameter_is_400(client, query):
    response = client.get(reverse("rill_django:events"), query)
    assert response.status_code == 400
    assert next(iter(query)) in response.json()["detail"]


def test_a_stream_is_shown_with_its_version(client):
    Account.open.transact("a/b 1", "Ann").unwrap()
    Account.deposit.transact("a/b 1", 5).unwrap()
    response = client.get(reverse("rill_django:stream", args=("bank.Account/a%2Fb%201",)))
    assert response.status_code == 200
    assert response["ETag"] == '"1"'
    assert [one["version"] for one in response.json()["events"]] == [0, 1]
    later = client.get(
        reverse("rill_django:stream", args=("bank.Account/a%2Fb%201",)), {"from_version": 1}
    )
    assert [one["version"] for one in later.json()["events"]] == [1]


def test_an_unknown_stream_is_404(client):
    response = client.get(reverse("rill_django:stream", args=("bank.Account/none",)))
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


def test_the_root_lists_the_commands(client):
    body = client.get(reverse("rill_django:root")).json()
    withdraw = body["commands"]["bank.Account.withdraw"]
    assert (withdraw["keys"], withdraw["fields"]) == (["number"], ["amount"])
    assert withdraw["description"] == "Take money out of the account."


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "url",
    [
        reverse("rill_django:root"),
        reverse("rill_django:events"),
        reverse("rill_django:command", args=("bank.Account.open",)),
        reverse("rill_django:stream", args=("bank.Account/1",)),
    ],
)
def test_anonymous_users_are_kept_out(url, method):
    response = getattr(APIClient(), method)(url, {}, format="json")
    assert response.status_code in (401, 403)
    assert response["Content-Type"] == "application/problem+json"
    assert not Account.get("1").exists


def test_who_may_use_it_is_a_setting(settings, client):
    settings.RILL = {"API_PERMISSIONS": ["rest_framework.permissions.IsAdminUser"]}
    assert client.get(reverse("rill_django:events")).status_code == 403


def test_the_actor_is_in_the_metadata(client):
    client.force_authenticate(None)
    client.force_login(get_user_model().objects.get())
    response = send(
        client,
        "bank.Account.open",
        number="1",
        owner="Ann",
        headers={"X-Request-ID": "request-7"},
    )
    metadata = response.json()["events"][0]["metadata"]
    assert metadata == {
        "actor": "ann",
        "correlation_id": "request-7",
        "command": "bank.Account.open",
    }


def test_the_feed_gives_positions_under_atomic_requests(client, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    send(client, "bank.Account.open", number="1", owner="Ann")
    body = client.get(reverse("rill_django:events")).json()
    assert (len(body["events"]), body["head"]) == (1, 1)


def test_a_browser_gets_a_page(client):
    response = client.get(reverse("rill_django:events"), headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/html")


def test_values_without_a_json_form_are_shown_as_text():
    from rill_django.api.bodies import plain

    assert plain({"at": date(2013, 1, 1), "sum": Decimal("1.5"), "other": Account}) == {
        "at": "2013-01-01",
        "sum": "1.5",
        "other": str(Account),
    }
    assert plain([float("nan"), float("-inf"), "\ud800", {"\ud800": 1}, 16**4_000]) == [
        *("nan", "-inf", "\\ud800", {"\\ud800": 1}, "0x1" + "0" * 4_000)
    ]


def test_the_library_works_without_the_framework():
    code = (
        "import sys; sys.modules['rest_framework'] = None\n"
        "import django; from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['django.contrib.contenttypes', 'rill_django'],"
        " DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}})\n"
        "django.setup()\n"
        "from django.core.management import call_command; call_command('migrate', verbosity=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_framework_its_urls_say_what_to_install():
    code = "import sys; sys.modules['rest_framework'] = None\nimport rill_django.api.urls\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.endswith(
        "ImproperlyConfigured: rill_django.api needs Django REST framework: "
        "pip install 'rill-django[api]', and add 'rest_framework' to INSTALLED_APPS.\n"
    )


@pytest.mark.parametrize(
    ("event", "cure"),
    [
        (NewEvent("bank.Account.added", b"{}"), "@event(name='bank.Account.added')"),
        (NewEvent("bank.Account.opened", b"{}"), "@upcast('bank.Account.opened')"),
    ],
)
def test_a_history_that_no_code_knows_is_503_in_words(client, event, cure):
    DjangoEventStore().append("bank.Account/1", -1, [event])
    response = send(client, "bank.Account.open", number="1", owner="Ann")
    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["title"], body["stream"]) == ("Unreadable history", "bank.Account/1")
    assert cure in body["detail"]
