"""Who and why, from the web request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse

from rill_django.domain.metadata import metadata

MAX_CORRELATION_LENGTH = 200

Circumstances = Callable[[], AbstractContextManager[object]]
"""Gives who and why to all events that are committed inside the ``with`` block."""


class MetadataMiddleware:
    """Gives every event of a request its actor and its correlation id.

    The actor is the user's name; the correlation id is the ``X-Request-ID`` header if there is one, and
    a new one otherwise. Put it behind ``AuthenticationMiddleware``.

    Commands that are sent while a ``StreamingHttpResponse`` makes its content carry the same.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
    ) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        circumstances = _circumstances_of(request)
        if self._is_async:
            return self._respond_later(request, circumstances)
        with circumstances():
            response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _streamed_in(circumstances, response)

    async def _respond_later(
        self, request: HttpRequest, circumstances: Circumstances
    ) -> HttpResponseBase:
        with circumstances():
            response = self.get_response(request)
            assert not isinstance(response, HttpResponseBase)
            return _streamed_in(circumstances, await response)


def _circumstances_of(request: HttpRequest) -> Circumstances:
    # The actor is looked up only when an event is stored: most requests store none, and an API may
    # find out who the user is after this middleware has run.
    return partial(metadata, actor=lambda: _actor(request), correlation_id=_correlation_id(request))


def _streamed_in(circumstances: Circumstances, response: HttpResponseBase) -> HttpResponseBase:
    """Have the response's content made under the request's metadata, too: the view is over by then."""
    # A file has no commands in it, and the server may have a quicker way to send it as it is.
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        content = response.streaming_content
        response.streaming_content = (
            _made_later(circumstances, content)
            if isinstance(content, AsyncIterator)
            else _made(circumstances, content)
        )
    return response


def _made(circumstances: Circumstances, content: Iterator[bytes]) -> Iterator[bytes]:
    # Entered for each piece anew: between two, the server is at other things in this context.
    while True:
        with circumstances():
            try:
                piece = next(content)
            except StopIteration:
                return
        yield piece


async def _made_later(
    circumstances: Circumstances, content: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    while True:
        with circumstances():
            try:
                piece = await anext(content)
            except StopAsyncIteration:
                return
        yield piece


def _actor(request: HttpRequest) -> str | None:
    user: Any = getattr(request, "user", None)
    if not getattr(user, "is_authenticated", False):
        return None
    # Whatever a project has for users: a service's account may have no name but its text.
    get_username = getattr(user, "get_username", None)
    name = get_username() if callable(get_username) else None
    text = str(user if name is None else name)
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _correlation_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    acceptable = given.isprintable() and 0 < len(given) <= MAX_CORRELATION_LENGTH
    return given if acceptable else str(uuid4())
