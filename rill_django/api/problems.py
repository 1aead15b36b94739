"""Errors as problem details. Source: RFC 9457."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from rill_django.api.parameters import BadParameter
from rill_django.domain.errors import UnknownEvents, UnreadableEvent
from rill_django.domain.limits import TooLarge
from rill_django.store.migrated import NotMigrated

PROBLEM_MEDIA_TYPE = "application/problem+json"
LONGEST_TEXT = 1_500
"""Characters of a detail: what a client has sent is not sent back at any length."""

logger = logging.getLogger("rill_django.api")


class Problem(Exception):
    """An answer that is a problem. See `problem`."""

    def __init__(self, status: HTTPStatus, title: str, detail: str, **members: Any) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.members = members
        super().__init__(detail)

    def response(self) -> Response:
        """Return it as a response."""
        return problem(self.status, self.title, self.detail, **self.members)


def problem(status: HTTPStatus, title: str, detail: str, **members: Any) -> Response:
    """Return a problem as a response.

    Args:
        title: the kind of problem, the same for every occurrence.
        detail: this occurrence, in words.
        members: what else a program may want to know.
    """
    body = {
        "type": "about:blank",
        "title": title,
        "status": status.value,
        "detail": shortened(detail),
    }
    response = Response({**body, **members}, status=status.value)
    response.exception = True
    return response


def shortened(text: str) -> str:
    """Return a text at a length that somebody may read."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def too_large(detail: str) -> Problem:
    """Return the problem of what is beyond a limit."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", detail)


def body_too_large(most: int) -> Problem:
    """Return the problem of a body with more bytes than that."""
    return too_large(f"The body has more than {most:,} bytes. Send less in one command.")


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn errors into problems: ours, and the framework's (not signed in, no such thing, bad JSON, …)."""
    own = _own_problem(error)
    if own is not None:
        set_rollback()
        return own.response()
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


def _own_problem(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadParameter):
        return Problem(
            HTTPStatus.BAD_REQUEST,
            "Bad request",
            str(error),
            field=error.field,
            reason=error.reason,
        )
    if isinstance(error, TooLarge):
        return too_large(str(error))
    if isinstance(error, (UnknownEvents, UnreadableEvent)):
        return _unreadable(error)
    if isinstance(error, NotMigrated):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The log is not migrated", str(error))
    if isinstance(error, RequestDataTooBig):
        return too_large(str(error))
    if isinstance(error, SuspiciousOperation):  # Of Django's own, e.g. too many parameters.
        return Problem(HTTPStatus.BAD_REQUEST, "Bad request", str(error))
    return None


def _unreadable(error: UnknownEvents | UnreadableEvent) -> Problem:
    """Not the client's mistake, and yet it has to be told: commands on this stream stand still.

    It passes, when code comes that knows the event; during a release, another process may have it already.
    """
    logger.error("%s", error)
    members: dict[str, Any] = {"stream": error.stream}
    if isinstance(error, UnreadableEvent):
        members |= {"event": error.identity, "version": error.version, "types": [error.type]}
    else:
        members |= {"types": list(error.types)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Unreadable history", str(error), **members)
