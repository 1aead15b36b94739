"""The body of a command, as it was sent."""

from __future__ import annotations

import codecs
from typing import Any

from django.conf import settings
from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from rill_django.api.problems import body_too_large
from rill_django.conf import configuration

_ENCODINGS = frozenset(
    (
        *("ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
        *("iso8859-1", "iso8859-15", "cp1252"),
    )
)
"""Some others of Python's are no text, or take a time that grows with the square of the length."""


class UndecodedJSONParser(BaseParser):
    """Leaves the body as it is: read as floats, its numbers would lose digits before anybody sees them."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the body in UTF-8.

        Raises:
            Problem: it is too long.
            ParseError: it ends too early, or is in an encoding that is not read.
        """
        context = parser_context or {}
        body = _whole(stream, context.get("request"))
        encoding = context.get("encoding") or "utf-8"
        try:
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            name = ""
        if name not in _ENCODINGS:
            raise ParseError(f"The body cannot be read as {encoding!r}. Send it in UTF-8.")
        if name in ("utf-8", "ascii"):
            return body
        try:
            return body.decode(name).encode()
        except UnicodeError as error:
            raise ParseError(
                f"The body cannot be read as {encoding!r}: {error}. Send it in UTF-8."
            ) from None


def most_bytes() -> int:
    """Return how long a body may be: as Django's own setting says, or as a commit may be."""
    most: int | None = getattr(settings, "DATA_UPLOAD_MAX_MEMORY_SIZE", None)
    return configuration().max_commit_bytes if most is None else most


def _whole(stream: Any, request: Any) -> bytes:
    most, length = most_bytes(), _length(request)
    if length > most:
        raise body_too_large(most)
    try:
        body: bytes = stream.read(most + 1)
    except UnreadablePostError as error:
        raise ParseError(f"The body ended too early: {error}") from None
    if len(body) > most:
        raise body_too_large(most)
    if len(body) < length:  # The beginning of a command may be another command.
        raise ParseError(
            f"The body ended after {len(body):,} of its {length:,} bytes. Send it again."
        )
    return body


def _length(request: Any) -> int:
    try:
        return int(request.META["CONTENT_LENGTH"])
    except (AttributeError, KeyError, ValueError):
        return 0
