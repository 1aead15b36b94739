"""Some hundreds of hostile requests to each endpoint: every answer is a success, or a problem in words."""

import json
import random
from io import BytesIO
from typing import Annotated, Any
from urllib.parse import quote_from_bytes

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory

from rill_django import Aggregate, Meta, command, event, key
from rill_django.api.views import CommandView
from rill_django.dispatch import Dispatcher
from rill_django.domain.limits import Limits
from rill_django.domain.registry import isolated_registry
from rill_django.domain.runtime import use
from rill_django.repository import Repository
from rill_django.store.orm import DjangoEventStore
from tests.api.bad_values import ACCEPTED, BYTES, HEADERS, MEDIA_TYPES, VALUES

pytestmark = pytest.mark.django_db

REQUESTS = 150


@pytest.fixture
def domain():
    with isolated_registry() as registry:

        class Room(Aggregate, name="house.Room"):
            name: str = key(require=str.isalpha, demand="must be letters")

        class Thing(Aggregate, name="house.Thing"):
            id: str = key()
            number: int = key()

            @event
            def changed(
                self,
                what: Any = None,
                sum: Annotated[int, Meta(lt=10)] = 0,
                names: "dict[str, int] | None" = None,
            ) -> None:
                """It became another."""

            @command
            def change(
                self, what: Any = None, sum: int = 0, names: "dict[str, int] | None" = None
            ) -> "Thing":
                """Make it another."""
                return self.changed(what, sum, names)

            @command
            def put(self, room: str, what: Any = None) -> "Thing":
                """Put it into a room."""
                self.read(Room, room)
                return self.changed({"room": room, "what": [what]})

            @command
            def grow(self, times: Annotated[int, Meta(ge=0)]) -> "Thing":
                """Change it so often."""
                found = self
                for _ in range(times):
                    found = found.changed()
                return found

        yield registry


@pytest.fixture(params=["signed in", "anonymous"])
def client(request, settings):
    settings.RILL = {"API_PERMISSIONS": ["rest_framework.permissions.AllowAny"]}
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 150_000
    client = Client(raise_request_exception=False)
    if request.param == "signed in":
        client.force_login(get_user_model().objects.create_user("ann"))
    limits = Limits(event_bytes=50_000, commit_bytes=100_000, events_per_commit=200)
    with use(Dispatcher(Repository(DjangoEventStore(), limits=limits))):
        yield client


def assert_is_told(response, request):
    told = f"{request!r:.500}: {response.status_code} {response.content[:500]!r}"
    if response.status_code >= 500:
        told += repr(getattr(response, "exc_info", None))
    assert response.status_code < 500, told
    kind = response["Content-Type"]
    if kind.startswith("text/html"):
        return
    if response.status_code < 400:
        assert kind == "application/json" or kind.startswith("application/json;"), told
        json.loads(response.content)
        return
    assert kind == "application/problem+json", told
    body = json.loads(response.content)
    assert body["status"] == response.status_code, told
    assert {type(body[name]) for name in ("type", "title", "detail")} == {str}, told
    assert body["title"], told
    assert 0 < len(body["detail"]) < 2_000, told


def query(chosen, names):
    pairs = [(chosen.choice(names), chosen.choice(BYTES)) for _ in range(chosen.randrange(4))]
    return "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs)


def ask(client, method, path, **more):
    headers = more.get("headers", {})
    response = client.generic(method, path, **more)
    assert_is_told(response, (method, path, headers, more.get("data"), more.get("content_type")))
    return response


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.usefixtures("domain")
def test_the_feed_and_the_root(client, seed):
    chosen = random.Random(seed)
    for _ in range(REQUESTS):
        path = chosen.choice(["events/", "events/", "events/", ""])
        more = query(chosen, ["after", "limit", "type", "category", "format", "version", "page"])
        headers = {"Accept": chosen.choice(ACCEPTED)} if chosen.random() < 0.3 else {}
        method = chosen.choice(["GET"] * 8 + ["HEAD", "OPTIONS", "POST", "PATCH"])
        if method != "HEAD":
            ask(client, method, f"/api/{path}?{more}", headers=headers)


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.usefixtures("domain")
def test_streams(client, seed):
    chosen = random.Random(seed)
    for _ in range(REQUESTS):
        name = chosen.choice(["house.Thing/", "", "house.Thing/1/"]).encode() + chosen.choice(BYTES)
        more = query(chosen, ["from_version", "limit", "format"])
        if name.strip(b"/ \n") and b"\n" not in name:  # Else there is no such route.
            ask(client, "GET", f"/api/streams/{quote_from_bytes(name)}/?{more}")


def body_of(chosen):
    if chosen.random() < 0.1:
        return chosen.choice(VALUES)
    members = {"id": '"1"', "number": "1", "what": chosen.choice(VALUES)}
    if chosen.random() < 0.6:
        names = ["id", "number", "sum", "names", "room", "times", "more", "\\u0000"]
        members[chosen.choice(names)] = chosen.choice(VALUES)
    pairs = [f'"{name}": {value}' for name, value in members.items()]
    if chosen.random() < 0.1:
        pairs.append(chosen.choice(pairs))
    return "{" + ", ".join(pairs) + "}"


@pytest.mark.parametrize("seed", [5, 6, 7])
@pytest.mark.usefixtures("domain")
def test_commands(client, seed):
    chosen, successes = random.Random(seed), 0
    for _ in range(REQUESTS):
        name = chosen.choice(["change", "change", "put", "grow"])
        headers = {
            header: chosen.choice(HEADERS)
            for header in ("If-Match", "If-None-Match", "Idempotency-Key", "X-Request-ID")
            if chosen.random() < 0.15
        }
        if chosen.random() < 0.1:
            headers["Accept"] = chosen.choice(ACCEPTED)
        is_json = chosen.random() < 0.85
        kind = "application/json" if is_json else chosen.choice(MEDIA_TYPES)
        data = body_of(chosen).encode("utf-8", "surrogatepass")
        if chosen.random() < 0.05:
            data = data.replace(b"1", b"\xff", 1)
        response = ask(
            client,
            "POST",
            f"/api/commands/house.Thing.{name}/",
            data=data,
            content_type=kind,
            headers=headers,
        )
        successes += response.status_code == 200
    assert successes > 3
    # What came in can be read.
    assert len(list(DjangoEventStore().read())) >= successes // 2
    feed = ask(client, "GET", "/api/events/?limit=1000").json()
    assert not any("unreadable" in one for one in feed["events"])


@pytest.mark.usefixtures("domain")
def test_names_of_commands(client):
    for name in BYTES:
        if b"/" not in name and name and b"\n" not in name:
            path = f"/api/commands/{quote_from_bytes(name)}/"
            response = ask(client, "POST", path, data=b"{}", content_type="application/json")
            assert response.status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ('"what": "%s"' % ("x" * 60_000), 413, "MAX_EVENT_BYTES"),
        ('"what": "%s"' % ("x" * 160_000), 413, "more than 150,000 bytes"),
    ],
)
@pytest.mark.usefixtures("domain")
def test_what_is_too_large_is_413(client, fields, status, said):
    body = f'{{"id": "1", "number": 1, {fields}}}'
    path = "/api/commands/house.Thing.change/"
    response = ask(client, "POST", path, data=body.encode(), content_type="application/json")
    assert response.status_code == status
    assert said in response.json()["detail"]


@pytest.mark.usefixtures("domain")
def test_too_many_events_are_413(client):
    body = b'{"id": "1", "number": 1, "times": 100000}'
    path = "/api/commands/house.Thing.grow/"
    response = ask(client, "POST", path, data=body, content_type="application/json")
    assert response.status_code == 413
    assert "MAX_EVENTS_PER_COMMIT" in response.json()["detail"]


@pytest.mark.usefixtures("domain", "client")
def test_a_body_that_ends_too_early_is_not_carried_out():
    body = b'{"id": "1", "number": 1, "what": 1}'
    for length, status, said in (
        (len(body) + 10, 400, f"ended after {len(body)} of its {len(body) + 10} bytes"),
        (10**12, 413, "more than 150,000 bytes"),
    ):
        request = RequestFactory().post("/", body, content_type="application/json")
        request.META["CONTENT_LENGTH"] = length
        request._stream = BytesIO(body)  # Of a client that has hung up.
        response = CommandView.as_view()(request, type="house.Thing.change")
        assert response.status_code == status
        assert said in response.data["detail"]
    assert not list(DjangoEventStore().read())


@pytest.mark.usefixtures("domain")
def test_a_body_of_unknown_length_is_411(client):
    path = "/api/commands/house.Thing.change/"
    headers = {"Transfer-Encoding": "chunked"}
    response = ask(client, "POST", path, content_type="application/json", headers=headers)
    assert response.status_code == 411


@pytest.mark.usefixtures("domain")
def test_too_many_parameters_are_400(client):
    response = ask(client, "GET", "/api/events/?" + "&".join(["type=x"] * 1_001))
    assert response.status_code == 400


@pytest.mark.usefixtures("domain")
def test_credentials_that_no_database_looks_for_are_401():
    client = Client(raise_request_exception=False)
    for credentials in ("YQBiOng=", "ADp4", "4A==", "%", ""):  # a\0b:x, \0:x, half a character
        response = ask(
            client, "GET", "/api/events/", headers={"Authorization": f"Basic {credentials}"}
        )
        assert response.status_code in (401, 403)
