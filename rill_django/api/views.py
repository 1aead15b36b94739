"""The endpoints."""

from __future__ import annotations

import inspect
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.db import DataError
from django.utils.encoding import escape_uri_path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.versioning import QueryParameterVersioning

from rill_django.api import schema
from rill_django.api.base import ReadingView, RillView
from rill_django.api.bodies import event_bodies, event_body, plain
from rill_django.api.idempotency import idempotency_key, written_key
from rill_django.api.parameters import one_text, texts, whole_number
from rill_django.api.parsers import UndecodedJSONParser
from rill_django.api.preconditions import OutOfDate, Precondition
from rill_django.api.problems import Problem, problem, shortened
from rill_django.domain.definitions import CommandType
from rill_django.domain.errors import InvalidMessage, UnknownMessageType
from rill_django.domain.messages import CommandMessage
from rill_django.domain.origin import field_that_sent
from rill_django.domain.registry import current_registry
from rill_django.domain.results import Conflict, Ok, Rejected, Result
from rill_django.domain.runtime import transact
from rill_django.domain.storable import Unstorable, text
from rill_django.domain.streams import MAX_STREAM_LENGTH
from rill_django.projections.projection import HandlerFailed
from rill_django.store.answers import IdempotencyKeyReused
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EMPTY_STREAM
from rill_django.store.tables import StoredType

PAGE = 100
LARGEST_PAGE = 1_000
LARGEST_PAGE_IN_BYTES = 1_000_000
"""Of payloads and metadata, but for the last event: as values and as text again they take many times that."""
LOOK_AT_MOST = 20_000
"""Positions that one request looks at for events of a type or category: each is some microseconds' work."""
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that the command with this `Idempotency-Key` had before."""

logger = logging.getLogger("rill_django.api")


class RootView(ReadingView):
    """What there is: the log, and the commands that can be sent."""

    @schema.of_root
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the commands with the fields that they take."""
        commands = {
            name: {
                "url": _link(request, f"commands/{quote(name)}/"),
                "keys": definition.keys,
                "fields": definition.fields,
                "description": inspect.getdoc(definition) or "",
            }
            for name, definition in sorted(current_registry().commands.items())
        }
        return Response({"events": _link(request, "events/"), "commands": commands})


def _link(request: Request, below: str) -> str:
    """Return the URL of an endpoint below the one of the root that was asked.

    By its path, and not by a name: the routes may be included more than once, in namespaces of any depth, and
    under a prefix with arguments.
    """
    found: str = request.build_absolute_uri(escape_uri_path(request.path) + below)
    scheme = request.versioning_scheme
    if isinstance(scheme, QueryParameterVersioning) and request.version is not None:
        found = replace_query_param(found, scheme.version_param, request.version)
    return found


class CommandView(RillView):
    """Takes a command: the key properties and the fields, as one JSON object.

    200 with the new events; 400 a wrong message; 409 somebody else was faster, 412 the stream is not at
    the version in `If-Match`; 413 too large; 422 the domain rejected it, or the `Idempotency-Key` was used
    for another command; 503 the stream holds events that today's code cannot read. Source: `rill.web`.
    """

    parser_classes = (UndecodedJSONParser,)

    @schema.of_command
    def post(self, request: Request, type: str, *args: Any, **kwargs: Any) -> Response:
        """Carry it out."""
        try:
            definition = current_registry().command(type)
        except UnknownMessageType as error:
            return problem(HTTPStatus.NOT_FOUND, "Unknown command", str(error))
        precondition = Precondition(request)
        key = idempotency_key(request)
        message = _message(definition, request)
        result = _carried_out(message, request, precondition, key)
        response = _response(result, precondition)
        if getattr(result, "is_repetition", False):
            response.headers[REPLAYED] = "true"
        return response


def _message(definition: CommandType[Any, ...], request: Request) -> Any:
    body: Any = request.data
    if not isinstance(body, bytes) and "Transfer-Encoding" in request.headers:
        raise Problem(
            HTTPStatus.LENGTH_REQUIRED, "Length required", "Send the body with its Content-Length."
        )
    try:
        # Without a body, Django REST framework asks no parser.
        return definition.from_json(body if isinstance(body, bytes) else b"")
    except InvalidMessage as error:
        raise _invalid(error, error.field) from None


def _invalid(error: InvalidMessage, field: str) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "Invalid message",
        str(error),
        field=shortened(field),
        reason=shortened(error.reason),
    )


def _carried_out(
    message: CommandMessage, request: Request, precondition: Precondition, key: str | None
) -> Result[Any]:
    try:
        return transact(
            message,
            idempotency_key=key,
            guard=precondition.guard if precondition.is_there else None,
        )
    except OutOfDate as error:
        raise _out_of_date(error.stream, error.version, precondition) from None
    except IdempotencyKeyReused:
        sent = written_key(request)
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Idempotency key used before",
            str(IdempotencyKeyReused(sent)),
            idempotency_key=sent,
        ) from None
    except InvalidMessage as error:
        field = field_that_sent(error, message)
        if field is None:
            raise  # The domain made a wrong event, or key, of a right command: its own mistake.
        logger.warning("%s handed on what it was sent: %s", message.definition.name, error)
        raise _invalid(error, field) from None
    except HandlerFailed as error:
        if not isinstance(error.__cause__, DataError):
            raise
        logger.warning("%s sent what has no place: %s", message.definition.name, error)
        reason = (
            f"a value does not fit a column of {error.projection}; send a shorter or smaller one"
        )
        raise _invalid(InvalidMessage(message.definition.name, "", reason), "") from None


def _out_of_date(stream: str, actual: int, precondition: Precondition) -> Problem:
    members: dict[str, Any] = {"stream": stream, "actual_version": actual}
    expected = ""
    if precondition.version is not None:
        members["expected_version"] = precondition.version
        expected = f", not at {precondition.version}"
    detail = f"{stream} is at version {actual}{expected}. Read it anew."
    return Problem(HTTPStatus.PRECONDITION_FAILED, "Out of date", detail, **members)


def _response(result: Result[Any], precondition: Precondition) -> Response:
    match result:
        case Ok(stream=stream, version=version, events=events):
            body = {
                "stream": stream,
                "version": version,
                "events": [event_body(event) for event in events],
            }
            return Response(body, headers={"ETag": f'"{version}"'})
        case Rejected(reason=reason, data=data):
            return problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "Rejected", reason, reason=reason, data=plain(data)
            )
        case Conflict(stream=stream, expected_version=expected, actual_version=actual):
            if precondition.is_there:
                return _out_of_date(stream, actual, precondition).response()
            return problem(
                HTTPStatus.CONFLICT,
                "Conflict",
                f"Others kept committing to {stream}. Send the command again.",
                stream=stream,
                expected_version=expected,
                actual_version=actual,
            )


class EventsView(ReadingView):
    """The log as a feed: ask again with `after` set to what `next_after` says.

    Parameters: `after` (position, default 0), `limit` (default 100, at most 1000), `type` (may be
    repeated), `category` (an aggregate type). A page may hold fewer events than there are: when they are
    long, or when of the next 20,000 in the log few are wanted. `next_after` goes on behind them in any case.
    """

    @schema.of_events
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the next events."""
        after = whole_number(request, "after", 0)
        limit = whole_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
        types, category = texts(request, "type"), one_text(request, "category")
        store = DjangoEventStore()
        head = store.sequence()  # Whoever waits for more asks again: a request waits for nobody.
        if not _may_be_stored(store, types, category):
            return Response({"events": [], "next_after": max(head, after), "head": head})
        end = min(head, after + LOOK_AT_MOST) if types or category else head
        reader = store.read().after(after).up_to(end).of_type(*types)
        reader = reader.category(category) if category else reader
        reader = reader.limit(limit).max_bytes(LARGEST_PAGE_IN_BYTES)
        stored = list(reader.stored())
        # A page that is not full has seen all there was up to its end.
        next_after = max(end, after) if reader.is_end(stored) else stored[-1].position
        return Response({"events": event_bodies(stored), "next_after": next_after, "head": head})


def _may_be_stored(store: DjangoEventStore, types: list[str], category: str | None) -> bool:
    """Whether events of these types, in these streams, can be in the log.

    What today's code knows can always be: a process of an older release may be storing its first one.
    """
    registry = current_registry()
    stored = StoredType.objects.using(store.using)
    known = registry.events.keys() | registry.aggregates.keys()
    return (
        not types or not known.isdisjoint(types) or stored.filter(type__in=types).exists()
    ) and (not category or category in known or stored.filter(category=category).exists())


class StreamView(ReadingView):
    """The events of one stream, in the order of their versions.

    Parameters: `from_version` (default 0), `limit` (default 100, at most 1000; fewer when they are
    long). The `ETag` is the stream's version, for the `If-Match` of a command.
    """

    @schema.of_stream
    def get(self, request: Request, stream: str, *args: Any, **kwargs: Any) -> Response:
        """Return them."""
        from_version = whole_number(request, "from_version", 0)
        limit = whole_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
        store = DjangoEventStore()
        version = store.version(stream) if _can_be_a_stream(stream) else EMPTY_STREAM
        if version < 0:
            return problem(
                HTTPStatus.NOT_FOUND, "Unknown stream", f"There is no event in a stream {stream!r}."
            )
        reader = store.read().stream(stream).from_version(from_version).limit(limit)
        reader = reader.max_bytes(LARGEST_PAGE_IN_BYTES)
        body = {"stream": stream, "version": version, "events": event_bodies(list(reader.stored()))}
        return Response(body, headers={"ETag": f'"{version}"'})


def _can_be_a_stream(name: str) -> bool:
    try:
        return len(text(name)) <= MAX_STREAM_LENGTH
    except Unstorable:
        return False
