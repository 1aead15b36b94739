"""What the endpoints take and answer, for drf-spectacular, if it is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from rest_framework import serializers

from rill_django.api.problems import PROBLEM_MEDIA_TYPE

F = TypeVar("F", bound=Callable[..., Any])


class RillRootSerializer(serializers.Serializer[Any]):
    """Where the log is, and the commands by their names."""

    events = serializers.URLField()
    commands = serializers.DictField(
        child=serializers.DictField(), help_text="by name: url, keys, fields, description"
    )


class RillEventSerializer(serializers.Serializer[Any]):
    """An event."""

    id = serializers.CharField(help_text="stream@version")
    position = serializers.IntegerField(allow_null=True, help_text="in the whole log, from 1")
    stream = serializers.CharField()
    version = serializers.IntegerField(help_text="in its stream, from 0")
    type = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    data = serializers.JSONField(  # type: ignore[assignment]
        allow_null=True, help_text="null: see `unreadable`"
    )
    metadata = serializers.JSONField()
    unreadable = serializers.JSONField(
        required=False,
        help_text="there if today's code cannot read the event: the reason, and the data as stored",
    )


class RillPageSerializer(serializers.Serializer[Any]):
    """A page of the log."""

    events = RillEventSerializer(many=True)
    next_after = serializers.IntegerField(help_text="`after` of the next page")
    head = serializers.IntegerField(help_text="last position of the log")


class RillStreamSerializer(serializers.Serializer[Any]):
    """Events of a stream, and its version."""

    stream = serializers.CharField()
    version = serializers.IntegerField()
    events = RillEventSerializer(many=True)


class RillProblemSerializer(serializers.Serializer[Any]):
    """What went wrong: a problem by RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False, help_text="field, parameter or header")
    reason = serializers.CharField(required=False)


_LIMIT = ("limit", int, False, "most events of the page: 1 to 1000, default 100")


def of_root(method: F) -> F:
    """Describe the list of what there is."""
    return _described(method, RillRootSerializer, ())


def of_command(method: F) -> F:
    """Describe the endpoint of all commands: any object goes in."""
    headers = (
        ("If-Match", str, False, 'the version that the client has seen, e.g. "3"'),
        ("If-None-Match", str, False, "*: only if there is nothing yet"),
        ("Idempotency-Key", str, False, "stands for this command and its repetitions"),
    )
    return _described(
        method,
        RillStreamSerializer,
        (400, 404, 409, 412, 413, 415, 422, 503),
        headers=headers,
        has_body=True,
    )


def of_events(method: F) -> F:
    """Describe the feed."""
    query = (
        ("after", int, False, "position behind which the page begins, default 0"),
        _LIMIT,
        ("type", str, True, "only events of these types"),
        ("category", str, False, "only events of streams of this aggregate type"),
    )
    return _described(method, RillPageSerializer, (400,), query=query)


def of_stream(method: F) -> F:
    """Describe the events of a stream."""
    query = (("from_version", int, False, "version with which the page begins, default 0"), _LIMIT)
    return _described(method, RillStreamSerializer, (400, 404), query=query)


Parameter = tuple[str, type, bool, str]
"""Name, type, whether there may be several, and what it says."""


def _described(
    method: F,
    answer: type[serializers.Serializer[Any]],
    problems: Sequence[int],
    *,
    query: Sequence[Parameter] = (),
    headers: Sequence[Parameter] = (),
    has_body: bool = False,
) -> F:
    """Say what a view's method answers: that, or a problem."""
    if find_spec("drf_spectacular") is None:
        return method
    from drf_spectacular.types import OpenApiTypes
    from drf_spectacular.utils import OpenApiParameter, extend_schema

    responses: dict[Any, Any] = {200: answer}
    for status in (*problems, 401, 403):
        responses[status, PROBLEM_MEDIA_TYPE] = RillProblemSerializer
    places: tuple[tuple[Literal["query", "header"], Sequence[Parameter]], ...] = (
        ("query", query),
        ("header", headers),
    )
    parameters: list[Any] = [
        OpenApiParameter(name, kind, place, description=text, many=is_repeated)
        for place, given in places
        for name, kind, is_repeated, text in given
    ]
    request = {"application/json": OpenApiTypes.OBJECT} if has_body else None
    described: F = extend_schema(request=request, responses=responses, parameters=parameters)(
        method
    )
    return described
