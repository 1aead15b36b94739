"""``If-Match`` and ``If-None-Match``: what a client asks of a stream's version. Source: RFC 9110, 13."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from rest_framework.request import Request

from rill_django.api.parameters import BadParameter, shown

_TAG = re.compile(r'[ \t]*(?:(?P<weak>W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(?:,|\Z)')
_CURE = 'must be the version that you have seen, in quotes as the ETag has it, a list of such, or *: e.g. "3"'


class OutOfDate(Exception):
    """The stream is not as the client wants it.

    Attributes:
        stream: its name.
        version: where it is.
    """

    def __init__(self, stream: str, version: int) -> None:
        self.stream = stream
        self.version = version
        super().__init__(f"{stream} is at version {version}")


class Tags(NamedTuple):
    """Entity tags of a header; ``is_any``: it was ``*``."""

    is_any: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()


class Precondition:
    """What a request says about the stream's version, which is its entity tag.

    Attributes:
        is_there: whether it says anything.
        version: the one version that it asks for, if it asks for one.
    """

    def __init__(self, request: Request) -> None:
        """Read the headers.

        Raises:
            BadParameter: they are malformed.
        """
        self._match = _tags(request, "If-Match")
        self._none_match = _tags(request, "If-None-Match")
        self.is_there = bool(self._match or self._none_match)
        self.version = _one_version(self._match)

    def guard(self, aggregate: Any) -> None:
        """Check an aggregate that is up to date.

        Raises:
            OutOfDate: it is not as the client wants it.
        """
        version: int = aggregate.version
        if not self._holds(str(version), exists=version >= 0):
            raise OutOfDate(aggregate.stream, version)

    def _holds(self, tag: str, *, exists: bool) -> bool:
        match, none_match = self._match, self._none_match
        # Weak tags say that two states are alike, and not that they are the same: here, they match nothing.
        if match is not None and not (exists if match.is_any else tag in match.strong):
            return False
        if none_match is None:
            return True
        return not (exists if none_match.is_any else tag in none_match.strong | none_match.weak)


def _tags(request: Request, header: str) -> Tags | None:
    given = request.headers.get(header)
    if given is None:
        return None
    if given.strip(" \t") == "*":
        return Tags(is_any=True)
    strong: set[str] = set()
    weak: set[str] = set()
    place = 0
    while place < len(given):
        found = _TAG.match(given, place)
        if found is None:
            raise BadParameter(header, f"{_CURE}; got {shown(given)}")
        if found["tag"] is not None:
            (weak if found["weak"] else strong).add(found["tag"])
        place = found.end()
    if not strong and not weak:
        raise BadParameter(header, f"{_CURE}; got {shown(given)}")
    return Tags(strong=frozenset(strong), weak=frozenset(weak))


def _one_version(tags: Tags | None) -> int | None:
    if tags is None or len(tags.strong) != 1 or tags.weak:
        return None
    (tag,) = tags.strong
    return int(tag) if re.fullmatch(r"-1|\d{1,18}", tag, re.ASCII) else None
