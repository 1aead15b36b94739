"""Hostile values for fields of every kind: each is kept as it is, or refused in words."""

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.test import Client

from rill_django import Aggregate, Rejected, command, event, key
from rill_django.domain.registry import isolated_registry
from tests.api.bad_values import TYPED, VALUES
from tests.api.test_hostile import ask

pytestmark = pytest.mark.django_db

REQUESTS = 300


class Colour(Enum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


class Tree(msgspec.Struct, frozen=True):
    """A value that has others of its kind in it."""

    x: int
    y: "list[Tree]" = []


class Kinds(msgspec.Struct, frozen=True):
    """A field of each kind."""

    at: datetime | None = None
    on: date | None = None
    clock: time | None = None
    span: timedelta | None = None
    code: UUID | None = None
    raw: bytes | None = None
    ratio: float | None = None
    price: Decimal | None = None
    colour: Colour | None = None
    pair: tuple[int, str] | None = None
    tags: set[str] | None = None
    prices: frozenset[Decimal] | None = None
    days: dict[date, int] | None = None
    rates: dict[float, Decimal] | None = None
    tree: Tree | None = None
    moments: list[datetime] | None = None
    loose: dict[UUID, Any] | None = None


@pytest.fixture
def client(admin_user):
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    with isolated_registry():

        class Sample(Aggregate, name="house.Sample"):
            id: str = key()

            @event
            def taken(self, of: Kinds, more: Any = None) -> None:
                """It was taken."""

            @command
            def take(self, of: Kinds) -> "Sample":
                """Take it."""
                return self.taken(of)

            @command
            def copy(self, of: Kinds) -> "Sample":
                """Take it, and something that was made of it."""
                return self.taken(of, {"copies": [of, of]})

            @command
            def refuse(self, of: Kinds) -> Rejected:
                """Say no, with all that JSON has no form for."""
                odd = [float("nan"), 10**5_000, "\ud800", {1: of, None: 2, (1, 2): 3}]
                return self.reject("no", of=of, odd=odd)

        yield client


@pytest.mark.parametrize("name", ["take", "copy", "refuse"])
def test_is_kept_or_refused(client, name):
    chosen, statuses = random.Random(name), set()
    for _ in range(REQUESTS):
        field = chosen.choice(Kinds.__struct_fields__)
        value = chosen.choice(VALUES + TYPED * 2)
        data = f'{{"id": "1", "of": {{"{field}": {value}}}}}'.encode("utf-8", "surrogatepass")
        path = f"/api/commands/house.Sample.{name}/"
        response = ask(client, "POST", path, data=data, content_type="application/json")
        statuses.add(response.status_code)
    assert statuses == {400, 422 if name == "refuse" else 200}
    for path in ("/api/events/?limit=1000", "/api/streams/house.Sample/1/?limit=1000"):
        shown = client.get(path).json()
        assert not any("unreadable" in one for one in shown.get("events", ()))
