"""Events that today's code cannot read: the feed goes on, with them in it; commands are told why not."""

import pytest

from rill_django.domain.records import NewEvent
from rill_django.store.orm import DjangoEventStore
from tests.bank.domain import Account

pytestmark = pytest.mark.django_db

BAD = NewEvent(
    "bank.Account.deposited",
    b'{"number":"1","amount":"much","exact":1234567890123456.78}',
    b'{"actor":"ann"}',
)


@pytest.fixture
def log():
    Account.open.transact("1", "Ann").unwrap()
    DjangoEventStore().append("bank.Account/1", 0, [BAD])
    Account.open.transact("2", "Bob").unwrap()


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("path", ["events/", "streams/bank.Account/1/"])
def test_are_in_the_feed_with_a_mark(admin_client, path):
    body = admin_client.get(f"/api/{path}").json()
    assert [one["id"] for one in body["events"]][:2] == ["bank.Account/1@0", "bank.Account/1@1"]
    first, unreadable = body["events"][:2]
    assert "unreadable" not in first
    assert first["data"]["owner"] == "Ann"
    assert unreadable["type"] == "bank.Account.deposited"
    assert unreadable["metadata"] == {"actor": "ann"}
    assert unreadable["data"] is None
    assert "amount" in unreadable["unreadable"]["reason"]
    stored = unreadable["unreadable"]["data"]
    assert (stored["number"], stored["amount"]) == ("1", "much")
    assert str(stored["exact"]).startswith("1234567890123456.")
    if path == "events/":
        assert unreadable["position"] == 2
        assert (body["events"][2]["stream"], body["next_after"]) == ("bank.Account/2", 3)


@pytest.mark.usefixtures("log")
def test_keep_a_page_of_their_own_from_being_the_end(admin_client):
    body = admin_client.get("/api/events/", {"after": 1, "limit": 1}).json()
    assert ([one["position"] for one in body["events"]], body["next_after"]) == ([2], 2)


@pytest.mark.usefixtures("log")
def test_stop_commands_of_their_stream_and_no_other(admin_client):
    def deposit(number):
        return admin_client.post(
            "/api/commands/bank.Account.deposit/",
            {"number": number, "amount": "1"},
            content_type="application/json",
        )

    refused = deposit("1")
    assert refused.status_code == 503
    assert refused["Content-Type"] == "application/problem+json"
    body = refused.json()
    assert (body["title"], body["stream"]) == ("Unreadable history", "bank.Account/1")
    assert (body["event"], body["version"]) == ("bank.Account/1@1", 1)
    assert body["types"] == ["bank.Account.deposited"]
    assert deposit("2").status_code == 200
