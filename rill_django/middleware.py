"""Who and why, from the web request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from rill_django.domain.metadata import metadata

MAX_CORRELATION_LENGTH = 200


class MetadataMiddleware:
    """Gives every event of a request its actor and its correlation id.

    The actor is the user's name; the correlation id is the ``X-Request-ID`` header if there is one, and
    a new one otherwise. Put it behind ``AuthenticationMiddleware``.
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
        if self._is_async:
            return self._respond_later(request)
        with _metadata_of(request):
            return self.get_response(request)

    async def _respond_later(self, request: HttpRequest) -> HttpResponseBase:
        with _metadata_of(request):
            response = self.get_response(request)
            assert not isinstance(response, HttpResponseBase)
            return await response


def _metadata_of(request: HttpRequest) -> AbstractContextManager[object]:
    # The actor is looked up only when an event is stored: most requests store none, and an API may
    # find out who the user is after this middleware has run.
    return metadata(actor=lambda: _actor(request), correlation_id=_correlation_id(request))


def _actor(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else None


def _correlation_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    acceptable = given.isprintable() and 0 < len(given) <= MAX_CORRELATION_LENGTH
    return given if acceptable else str(uuid4())
