"""What the views have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.db import connections, transaction
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rill_django.api.permissions import permission_classes
from rill_django.api.problems import PROBLEM_MEDIA_TYPE, problem_handler
from rill_django.domain.messages import Message
from rill_django.domain.records import RecordedEvent, UnknownEvent


class BadParameter(ValueError):
    """A query parameter or header has a value that it must not have."""


class RillView(APIView):
    """Closed by ``RILL["API_PERMISSIONS"]``; answers errors with problem details, on these views only."""

    def get_permissions(self) -> list[BasePermission]:
        """See Django REST framework.

        Raises:
            ImproperlyConfigured: see `permission_classes`; nobody gets in.
        """
        return [permission() for permission in permission_classes()]

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """See Django REST framework."""
        return problem_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """See Django REST framework."""
        final = super().finalize_response(request, response, *args, **kwargs)
        if getattr(final, "exception", False) and final.accepted_renderer.format == "json":
            final.content_type = PROBLEM_MEDIA_TYPE
        return final


class ReadingView(RillView):
    """Reads outside any transaction of the request, so that it may help to give events their positions."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """See Django REST framework. Whichever database holds the log, ``ATOMIC_REQUESTS`` is left out."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view


def whole_number(
    request: Request | HttpRequest,
    name: str,
    default: int,
    *,
    least: int = 0,
    most: int | None = None,
) -> int:
    """Return a query parameter.

    Raises:
        BadParameter: not a whole number, or out of bounds.
    """
    text = request.GET.get(name)
    if text is None:
        return default
    bounds = f"from {least}" if most is None else f"from {least} to {most}"
    if not text.isdecimal() or not least <= int(text) <= (most or 2**63 - 1):
        raise BadParameter(f"{name} must be a whole number {bounds}, got {text!r}")
    return int(text)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what JSON has no form for, as text."""
    if isinstance(value, UnknownEvent):
        return dict(value.data)
    if isinstance(value, Message):
        return value.to_dict()
    return _with_text_keys(msgspec.to_builtins(value, enc_hook=_dict_or_text))


def _dict_or_text(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _with_text_keys(value: Any) -> Any:
    """Return plain values whose dicts have no keys that JSON would not take."""
    if isinstance(value, dict):
        return {str(name): _with_text_keys(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(one) for one in value]
    return value


def event_body(event: RecordedEvent) -> dict[str, Any]:
    """Return an event as the API shows it."""
    return {
        "id": event.identity,
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "recorded_at": event.recorded_at.isoformat(),
        "data": plain(event.message),
        "metadata": plain(event.metadata),
    }
