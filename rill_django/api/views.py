"""The endpoints."""

from __future__ import annotations

import inspect
import re
from hashlib import blake2s
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from rill_django.api.base import (
    BadParameter,
    ReadingView,
    RillView,
    event_body,
    plain,
    whole_number,
)
from rill_django.api.problems import problem
from rill_django.domain.codec import decode_events
from rill_django.domain.definitions import CommandType
from rill_django.domain.errors import InvalidMessage, UnknownMessageType
from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.results import Conflict, Ok, Rejected, Result
from rill_django.domain.runtime import transact
from rill_django.store.answers import IdempotencyKeyReused
from rill_django.store.orm import DjangoEventStore
from rill_django.store.tables import StoredType

PAGE = 100
LARGEST_PAGE = 1_000
LARGEST_PAGE_IN_BYTES = 1_000_000
"""Of payloads and metadata, but for the last event: as values and as text again they take many times that."""
LOOK_AT_MOST = 20_000
"""Positions that one request looks at for events of a type or category: each is some microseconds' work."""
MAX_KEY_LENGTH = 200
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that the command with this `Idempotency-Key` had before."""
LONGEST_OWNER = 54
"""Characters that a user's primary key may have in front of the key that the user has chosen."""

_VERSION_TAG = re.compile(r'^"?(?P<version>-1|\d{1,18})"?$')


class UndecodedJSONParser(BaseParser):
    """Leaves the body as it is: read as floats, its numbers would lose digits before anybody sees them."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the body in UTF-8."""
        body: bytes = stream.read()
        encoding = (parser_context or {}).get("encoding") or "utf-8"
        if encoding.lower() in ("utf-8", "utf8"):
            return body
        try:
            return body.decode(encoding).encode()
        except (LookupError, UnicodeError) as error:
            raise ParseError(f"The body cannot be read as {encoding}: {error}") from None


class RootView(ReadingView):
    """What there is: the log, and the commands that can be sent."""

    def get(self, request: Request) -> Response:
        """List the commands with the fields that they take."""
        commands = {
            name: {
                "url": reverse("rill_django:command", args=(name,), request=request),
                "keys": definition.keys,
                "fields": definition.fields,
                "description": inspect.getdoc(definition) or "",
            }
            for name, definition in sorted(current_registry().commands.items())
        }
        events = reverse("rill_django:events", request=request)
        return Response({"events": events, "commands": commands})


class CommandView(RillView):
    """Takes a command: the key properties and the fields, as one JSON object.

    200 with the new events; 400 a wrong message; 409 somebody else was faster, 412 the stream is not at
    the version in `If-Match`; 422 the domain rejected it, or the `Idempotency-Key` was used for another
    command. Source of the codes: `rill.web`.
    """

    parser_classes = (UndecodedJSONParser,)

    def post(self, request: Request, type: str) -> Response:
        """Carry it out."""
        try:
            definition = current_registry().command(type)
        except UnknownMessageType as error:
            return problem(HTTPStatus.NOT_FOUND, "Unknown command", str(error))
        try:
            expected_version = _expected_version(request)
            message = _message(definition, request)
            result = transact(
                message,
                expected_version=expected_version,
                idempotency_key=_idempotency_key(request),
            )
        except BadParameter as error:
            return problem(HTTPStatus.BAD_REQUEST, "Bad request", str(error))
        except IdempotencyKeyReused:
            sent = _sent_key(request)
            return problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "Idempotency key used before",
                str(IdempotencyKeyReused(sent)),
                idempotency_key=sent,
            )
        except InvalidMessage as error:
            if error.message_type not in (type, definition.aggregate.type_name):
                raise  # The domain made a wrong event of a right command: its own mistake.
            return problem(
                HTTPStatus.BAD_REQUEST,
                "Invalid message",
                str(error),
                field=error.field,
                reason=error.reason,
            )
        response = _response(result, is_conditional=expected_version is not None)
        if getattr(result, "is_repetition", False):
            response.headers[REPLAYED] = "true"
        return response


def _message(definition: CommandType[Any, ...], request: Request) -> Any:
    body: Any = request.data
    # Without a body, Django REST framework asks no parser.
    return definition.from_json(body if isinstance(body, bytes) else b"")


def _expected_version(request: Request) -> int | None:
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        return None
    tag = _VERSION_TAG.match(given)
    if tag is None:
        raise BadParameter(
            f'If-Match must be the version of the stream that you have seen, e.g. "3"; got {given!r}'
        )
    return int(tag["version"])


def _sent_key(request: Request) -> str:
    """Return the key as the client has written it; nothing: there is none."""
    key = str(request.headers.get("Idempotency-Key", "")).strip()
    try:
        return key.encode("latin-1").decode()  # Servers take the bytes of a header for Latin-1.
    except UnicodeError:
        return key


def _idempotency_key(request: Request) -> str | None:
    key = _sent_key(request)
    if len(key) > MAX_KEY_LENGTH:
        raise BadParameter(f"Idempotency-Key must have at most {MAX_KEY_LENGTH} characters")
    # Keys are chosen by clients: one of them must not be able to ask for another's answers.
    return f"{_owner(request.user.pk)}:{key}" if key else None


def _owner(pk: Any) -> str:
    """Return a text for a user, without a colon, that no other user has."""
    name = quote(str(pk), safe="")
    return (
        name if len(name) <= LONGEST_OWNER else blake2s(name.encode(), digest_size=20).hexdigest()
    )


def _response(result: Result[Any], *, is_conditional: bool) -> Response:
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
            members = {"stream": stream, "expected_version": expected, "actual_version": actual}
            if is_conditional:
                detail = f"{stream} is at version {actual}, not at {expected}. Read it anew."
                return problem(HTTPStatus.PRECONDITION_FAILED, "Out of date", detail, **members)
            detail = f"Others kept committing to {stream}. Send the command again."
            return problem(HTTPStatus.CONFLICT, "Conflict", detail, **members)


class EventsView(ReadingView):
    """The log as a feed: ask again with `after` set to what `next_after` says.

    Parameters: `after` (position, default 0), `limit` (default 100, at most 1000), `type` (may be
    repeated), `category` (an aggregate type). A page may hold fewer events than there are: when they are
    long, or when of the next 20,000 in the log few are wanted. `next_after` goes on behind them in any case.
    """

    def get(self, request: Request) -> Response:
        """Return the next events."""
        try:
            after = whole_number(request, "after", 0)
            limit = whole_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
        except BadParameter as error:
            return problem(HTTPStatus.BAD_REQUEST, "Bad request", str(error))
        types, category = request.GET.getlist("type"), request.GET.get("category")
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
        return Response({"events": _bodies(stored), "next_after": next_after, "head": head})


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

    def get(self, request: Request, stream: str) -> Response:
        """Return them."""
        try:
            from_version = whole_number(request, "from_version", 0)
            limit = whole_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
        except BadParameter as error:
            return problem(HTTPStatus.BAD_REQUEST, "Bad request", str(error))
        store = DjangoEventStore()
        version = store.version(stream)
        if version < 0:
            return problem(
                HTTPStatus.NOT_FOUND, "Unknown stream", f"There is no event in a stream {stream!r}."
            )
        reader = store.read().stream(stream).from_version(from_version).limit(limit)
        reader = reader.max_bytes(LARGEST_PAGE_IN_BYTES)
        body = {"stream": stream, "version": version, "events": _bodies(list(reader.stored()))}
        return Response(body, headers={"ETag": f'"{version}"'})


def _bodies(stored: list[StoredEvent]) -> list[dict[str, Any]]:
    return [event_body(event) for event in decode_events(stored, current_registry())]
