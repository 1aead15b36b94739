"""Requests give their events an actor and a correlation id."""

import asyncio
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.test import RequestFactory

from rill_django.domain.metadata import current_metadata
from rill_django.middleware import MetadataMiddleware


def carried(**headers):
    seen = {}

    def view(request):
        request.user = headers.pop("user", AnonymousUser())
        seen.update(current_metadata())
        return HttpResponse()

    user = headers.get("user")
    request = RequestFactory().get("/", headers={k: v for k, v in headers.items() if k != "user"})
    if user:
        request.user = user
    MetadataMiddleware(view)(request)
    return seen


def test_the_actor_is_the_users_name_also_if_found_out_later():
    assert carried(user=User(username="ann"))["actor"] == "ann"


def test_anonymous_users_are_no_actors():
    assert carried().get("actor") is None


def test_a_request_id_is_taken_over():
    assert carried(**{"X-Request-ID": "abc-7"})["correlation_id"] == "abc-7"


@pytest.mark.parametrize("given", ["", "x" * 201, "a\tb"])
def test_a_request_id_that_is_missing_or_odd_is_replaced(given):
    assert UUID(carried(**{"X-Request-ID": given})["correlation_id"])


def test_nothing_is_left_after_the_request():
    carried(user=User(username="ann"))
    assert current_metadata() == {}


def test_it_works_for_asynchronous_sites():
    seen = {}

    async def view(request):
        seen.update(current_metadata())
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Request-ID": "abc"})
    request.user = User(username="ann")
    response = asyncio.run(MetadataMiddleware(view)(request))
    assert response.status_code == 200
    assert seen == {"actor": "ann", "correlation_id": "abc"}
