"""Requests give their events an actor and a correlation id."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from rill_django.domain.codec import encode_metadata
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


def streamed(view_of_content, *, headers=None):
    """Return the content of a streaming response that went through the middleware."""
    request = RequestFactory().get("/", headers=headers or {"X-Request-ID": "abc"})
    request.user = User(username="ann")
    return MetadataMiddleware(lambda request: StreamingHttpResponse(view_of_content()))(request)


def test_content_that_is_made_later_has_the_same_metadata():
    seen = []

    def lines():
        for line in ("one", "two"):
            seen.append(dict(current_metadata()))
            yield line

    response = streamed(lines)
    assert seen == []
    pieces = []
    for piece in response:
        pieces.append(piece)
        assert current_metadata() == {}  # The server's own work is nobody's.
    assert pieces == [b"one", b"two"]
    assert seen == [{"actor": "ann", "correlation_id": "abc"}] * 2


def test_a_new_correlation_id_is_one_for_the_whole_response():
    seen = []

    def lines():
        for _ in range(3):
            seen.append(current_metadata()["correlation_id"])
            yield ""

    list(streamed(lines, headers={"Accept": "*/*"}))
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_an_error_while_content_is_made_leaves_nothing_behind():
    def lines():
        yield "one"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(streamed(lines))
    assert current_metadata() == {}


@pytest.mark.django_db  # At its end, Django looks after connections that others have left open.
def test_content_that_is_not_wanted_any_more_is_closed():
    ended = []

    def lines():
        try:
            yield "one"
            yield "two"
        finally:
            ended.append(True)

    response = streamed(lines)
    next(iter(response))
    response.close()
    assert ended == [True]


def test_asynchronous_content_has_the_same_metadata():
    seen = []

    async def lines():
        for line in ("one", "two"):
            seen.append(dict(current_metadata()))
            yield line

    async def view(request):
        return StreamingHttpResponse(lines())

    async def content():
        request = RequestFactory().get("/", headers={"X-Request-ID": "abc"})
        request.user = User(username="ann")
        response = await MetadataMiddleware(view)(request)
        return [piece async for piece in response]

    assert asyncio.run(content()) == [b"one", b"two"]
    assert seen == [{"actor": "ann", "correlation_id": "abc"}] * 2


@pytest.mark.django_db  # At its end, Django looks after connections that others have left open.
def test_a_file_is_sent_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a")
    request = RequestFactory().get("/")
    response = MetadataMiddleware(lambda request: FileResponse(path.open("rb")))(request)
    assert response.file_to_stream is not None
    assert b"".join(response) == b"a"
    response.close()


@pytest.mark.parametrize(
    ("user", "actor"),
    [
        (None, None),
        (object(), None),
        (SimpleNamespace(is_authenticated=False, get_username=lambda: "ann"), None),
        (SimpleNamespace(is_authenticated=True, get_username=lambda: "ann"), "ann"),
        (SimpleNamespace(is_authenticated=True, get_username=lambda: 7), "7"),
        (SimpleNamespace(is_authenticated=True, get_username=lambda: "a\0\ud800"), "a\\x00\\ud800"),
        (type("Machine", (), {"is_authenticated": True, "__str__": lambda self: "m1"})(), "m1"),
    ],
)
def test_whatever_a_project_has_for_users_can_be_stored(user, actor):
    request = HttpRequest()
    request.user = user
    seen = []

    def view(request):
        seen.append(current_metadata().get("actor"))
        encode_metadata(current_metadata())
        return HttpResponse()

    MetadataMiddleware(view)(request)
    assert seen == [actor]
