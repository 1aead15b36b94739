"""Who and why, from the web request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
        with metadata(actor=_actor(request), correlation_id=_correlation_id(request)):
            return self.get_response(request)

    async def _respond_later(self, request: HttpRequest) -> HttpResponseBase:
        user = await request.auser() if hasattr(request, "auser") else None
        actor = user.get_username() if user is not None and user.is_authenticated else None
        with metadata(actor=actor, correlation_id=_correlation_id(request)):
            response = self.get_response(request)
            assert not isinstance(response, HttpResponseBase)
            return await response


def _actor(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else None


def _correlation_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    acceptable = given.isprintable() and 0 < len(given) <= MAX_CORRELATION_LENGTH
    return given if acceptable else str(uuid4())
