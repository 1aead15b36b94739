"""Errors as problem details. Source: RFC 9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from rill_django.domain.errors import UnknownEvents, UnreadableEvent
from rill_django.store.migrated import NotMigrated

PROBLEM_MEDIA_TYPE = "application/problem+json"


def problem(status: HTTPStatus, title: str, detail: str, **members: Any) -> Response:
    """Return a problem as a response.

    Args:
        title: the kind of problem, the same for every occurrence.
        detail: this occurrence, in words.
        members: what else a program may want to know.
    """
    body = {"type": "about:blank", "title": title, "status": status.value, "detail": detail}
    response = Response({**body, **members}, status=status.value)
    response.exception = True
    return response


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn the framework's own errors (not signed in, no such thing, bad JSON, …) into problems."""
    if isinstance(error, (UnknownEvents, UnreadableEvent)):
        # Not the client's mistake, and yet it has to be told: commands on this stream stand still.
        set_rollback()
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Unreadable history", str(error), stream=error.stream
        )
    if isinstance(error, NotMigrated):
        set_rollback()
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The log is not migrated", str(error))
    response = exception_handler(error, context)
    if response is None:
        return None
    status = HTTPStatus(response.status_code)
    data = response.data
    detail = data.get("detail") if isinstance(data, dict) else None
    found = problem(status, status.phrase, str(detail) if detail else status.phrase)
    for name, value in response.items():  # WWW-Authenticate, Retry-After
        found[name] = value
    if not detail:
        found.data["errors"] = data
    return found
