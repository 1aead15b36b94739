"""What is wrong with a text of JSON, and where: keys that are there twice, depth, broken characters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from .storable import Unstorable, place_in, settled, text

MOST_LEVELS = 31
"""Objects and lists inside each other, the outermost included: MariaDB takes no more."""

_TOKEN = re.compile(
    rb"""(?P<opens>[\[{])|(?P<closes>[\]}])|(?P<name>"(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*\""""
)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

TOO_DEEP = (
    f"it is nested too deeply; a message has at most {MOST_LEVELS} objects and lists inside each other, "
    "itself included"
)


class WrongText(ValueError):
    """This JSON cannot be taken.

    Attributes:
        field: the member of the outermost object that is the culprit; empty: the whole.
        reason: why not.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(reason)


def members_of(data: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of an object, each as JSON. Whoever writes a key twice has two things in mind.

    Raises:
        WrongText: it is no JSON in UTF-8, is nested too deeply, or has a key twice in an object.
        msgspec.ValidationError: it is no object.
    """
    try:
        members = _members.decode(data)
        _without_doubles.decode(data.decode())
    except msgspec.ValidationError:
        raise
    except _Twice as twice:
        raise _doubled_in(members, twice.key) from None
    except RecursionError:
        raise WrongText(_deep_member(data), f"cannot be taken as JSON: {TOO_DEEP}") from None
    except ValueError as error:
        raise _broken(data, error) from None
    return members


def culprit_in(members: Mapping[str, msgspec.Raw]) -> WrongText:
    """Return which of an object's members cannot be read as JSON, though together they look like it."""
    for name, member in members.items():
        try:
            msgspec.json.decode(member)
        except RecursionError:
            return WrongText(name, f"cannot be taken as JSON: {TOO_DEEP}")
        except ValueError as error:
            return WrongText(name, f"is not JSON: {error}")
    return WrongText("", "is not JSON")


def doubled_keys_of(data: str) -> list[str]:
    """Return the keys that are twice in an object of a JSON text; none, if it is nested too deeply."""
    doubled: list[str] = []
    with suppress(RecursionError):
        _decoder(lambda pairs: doubled.extend(_doubles_of(pairs))).decode(data)
    return doubled


def levels_of(*texts: bytes) -> int:
    """Return how many objects and lists are inside each other, the outermost included.

    Up to `MOST_LEVELS` it may be fewer.
    """
    return max(_levels(text) for text in texts)


def _levels(text: bytes) -> int:
    most = text.count(b"{") + text.count(b"[")
    if most <= MOST_LEVELS:
        return most
    level, containers = 0, [msgspec.json.decode(text)]
    while containers:
        level += 1
        containers = [
            inner
            for one in containers
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
    return level


def _deep_member(data: bytes) -> str:
    """Return the member of an object in which it gets too deep; up to there, it is well-formed."""
    level, name = 0, b'""'
    for token in _TOKEN.finditer(data):
        if token["opens"]:
            level += 1
        elif token["closes"]:
            level -= 1
        elif level == 1:
            name = token["name"]
        if level > MOST_LEVELS:
            break
    try:
        return str(msgspec.json.decode(name))
    except msgspec.DecodeError:
        return ""


class _Twice(Exception):
    """A key is twice in an object."""

    def __init__(self, key: str) -> None:
        self.key = key


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len(dict(pairs)) < len(pairs):
        raise _Twice(_doubles_of(pairs)[0])


def _doubles_of(pairs: list[tuple[str, Any]]) -> list[str]:
    seen: set[str] = set()
    return [key for key, _value in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]


def _decoder(hook: Callable[[list[tuple[str, Any]]], None]) -> json.JSONDecoder:
    # Numbers stay text: one of thousands of digits is not reckoned out only to be dropped.
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_int=str, parse_float=str, parse_constant=str, strict=False
    )


_without_doubles = _decoder(_refuse_doubles)


def _doubled_in(members: Mapping[str, msgspec.Raw], key: str) -> WrongText:
    for name, member in members.items():
        if doubled_keys_of(bytes(member).decode()):
            return WrongText(name, f"has {key!r} twice in one object. Write each key once")
    return WrongText(key, "is there twice. Write each key once")


def _broken(data: bytes, error: Exception) -> WrongText:
    """Return what is wrong. Of half a surrogate pair msgspec says only that the text ends too early."""
    try:
        found = json.loads(data, parse_int=str, parse_float=str, parse_constant=str)
    except UnicodeDecodeError:
        return WrongText("", "is not JSON: it is no text in UTF-8")
    except (ValueError, RecursionError):
        return WrongText("", f"is not JSON: {error if data.strip() else 'it is empty'}")
    for name, value in found.items() if isinstance(found, dict) else ():
        try:
            text(name)
            settled(value)
        except Unstorable as unstorable:
            path = name.encode(errors="backslashreplace").decode() + place_in(value)
            return WrongText(path, str(unstorable))
    return WrongText("", f"is not JSON: {error}")
