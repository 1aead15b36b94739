"""What is refused for a value that the client has sent is the client's to mend; all else is not."""

from typing import Annotated, Any

import pytest
from django.db import connection
from django.test import Client

from rill_django import Aggregate, InvalidMessage, Meta, command, event, key, require
from rill_django.domain.json_texts import MOST_LEVELS
from rill_django.domain.registry import isolated_registry
from rill_django.testing import isolated_projections
from tests.bank.domain import Account
from tests.projections.inline_bank import owners

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(admin_user):
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    with isolated_registry():

        class Seat(Aggregate, name="hall.Seat"):
            number: str = key(require=lambda it: len(it) == 3, demand="must have 3 characters")

        class Booking(Aggregate, name="hall.Booking"):
            id: str = key()

            @event
            @require(lambda self, seat, people: people != 13, "nobody likes 13", field="people")
            def made(self, seat: str = "", people: "Annotated[int, Meta(lt=100)]" = 1) -> None: ...

            @event
            def noted(self, what: Any = None) -> None: ...

            @command
            @require(lambda self, seat, people: people >= 0, "must not be negative", field="people")
            def make(self, seat: str, people: int = 1) -> "Booking":
                self.read(Seat, seat)
                return self.made(seat, people)

            @command
            def take_first(self) -> "Booking":
                self.read(Seat, "1")
                return self.made()

            @command
            def double(self, people: int) -> "Booking":
                return self.made(people=people * 2)

            @command
            def note(self, what: Any) -> "Booking":
                return self.noted({"inside": [what]})

        def send(name, **fields):
            return client.post(
                f"/api/commands/hall.Booking.{name}/",
                {"id": "7", **fields},
                content_type="application/json",
            )

        yield send


def nested(levels):
    found = []
    for _ in range(levels - 1):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("name", "fields", "field", "said"),
    [
        ("make", {"seat": "1"}, "seat", "hall.Seat, field 'number': must have 3 characters"),
        ("make", {"seat": "x" * 300}, "seat", "hall.Seat, field 'number': must have 3 characters"),
        (
            "make",
            {"seat": ""},
            "seat",
            "hall.Seat, field 'number': a key property must not be empty",
        ),
        ("make", {"seat": "1A1", "people": 100}, "people", "hall.Booking.made, field 'people'"),
        ("make", {"seat": "1A1", "people": 13}, "people", "nobody likes 13"),
        ("make", {"seat": "1A1", "people": -1}, "people", "hall.Booking.make, field 'people'"),
        ("note", {"what": nested(MOST_LEVELS - 1)}, "what", "nested too deeply"),
        ("note", {"what": {"a": nested(MOST_LEVELS - 2)}}, "what", "nested too deeply"),
    ],
)
def test_the_clients(send, caplog, name, fields, field, said):
    response = send(name, **fields)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["title"], body["field"]) == ("Invalid message", field)
    assert said in body["detail"]
    assert "handed on what it was sent" in caplog.text


@pytest.mark.parametrize(("name", "fields"), [("take_first", {}), ("double", {"people": 60})])
def test_the_domains(send, name, fields):
    response = send(name, **fields)
    assert response.status_code == 500
    assert response.exc_info[0] is InvalidMessage


def test_others_are_carried_out(send):
    assert send("make", seat="1A1", people=2).status_code == 200
    assert send("note", what=nested(MOST_LEVELS - 3)).status_code == 200


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite's columns take texts of any length"
)
def test_what_no_column_of_an_inline_projection_takes_is_the_clients(admin_client):
    def open_for(owner):
        path, kind = "/api/commands/bank.Account.open/", "application/json"
        return admin_client.post(path, {"number": "1", "owner": owner}, content_type=kind)

    with isolated_projections():
        owners()
        response = open_for("x" * 5_000)
        assert response.status_code == 400
        assert response["Content-Type"] == "application/problem+json"
        assert "does not fit a column of projections.Owners" in response.json()["detail"]
        assert not Account.get("1").exists
        assert open_for("Ann").status_code == 200
