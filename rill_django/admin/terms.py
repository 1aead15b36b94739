"""What somebody may mean who types something into the search of the log. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations, islice, pairwise
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote
from uuid import UUID

from rill_django.domain.streams import MAX_STREAM_LENGTH, key_text

MOST_BEGINNINGS = 200
"""Beginnings of streams that one term may stand for; the likeliest come first."""

KEYS_UNKNOWN = 3
"""Keys that an aggregate has at most that today's code does not know."""

_MOST_DIVISIONS = 20
_LARGEST = 2**31 - 1
_IDENTITY = re.compile(r"(?P<name>.+)@(?P<version>[0-9]{1,10})", re.DOTALL)
_POSITION = re.compile(r"[0-9][0-9,.' \u00a0\u2009\u202f]{0,30}")


class Term(NamedTuple):
    """What a term may stand for.

    Attributes:
        beginnings: what names of streams may begin with, or be.
        names: of streams, one of which has the event of that version.
        version: of that event; ``None``: no event is named.
        position: in the log; ``None``: it is none.
    """

    beginnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    version: int | None = None
    position: int | None = None


def interpreted(term: str, categories: Mapping[str, int]) -> Term:
    """Return what a term may stand for.

    Args:
        term: as it was typed.
        categories: the aggregate types that there are, with the number of their keys.
    """
    term = term.strip()
    identity = _IDENTITY.fullmatch(term)
    version = int(identity["version"]) if identity else None
    names: tuple[str, ...] = ()
    if identity and version is not None and version <= _LARGEST:
        names = beginnings(identity["name"], categories)
    return Term(beginnings(term, categories), names, version if names else None, _position(term))


def _position(term: str) -> int | None:
    """Return a position, also as the pages show it, with something between the thousands."""
    if not _POSITION.fullmatch(term):
        return None
    digits = re.sub(r"[^0-9]", "", term)
    return int(digits) if len(digits) < 19 else None


def beginnings(term: str, categories: Mapping[str, int]) -> tuple[str, ...]:
    """Return what names of streams may begin with: the term itself, or a category and the term as key."""
    if not 0 < len(term) <= MAX_STREAM_LENGTH or "\0" in term or not _is_text(term):
        return ()  # No stream is named like that.
    found = dict.fromkeys([term])
    for name in islice(_named(term, categories), MOST_BEGINNINGS * 2):
        if len(name) <= MAX_STREAM_LENGTH:
            found[name] = None
    return tuple(islice(found, MOST_BEGINNINGS))


def _is_text(term: str) -> bool:
    try:
        term.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(term: str, categories: Mapping[str, int]) -> Iterator[str]:
    head, slash, rest = term.partition("/")
    if slash:
        own = {name: number for name, number in categories.items() if _is_same(name, head)}
        yield from _with_keys(rest, own)
    yield from _with_keys(term, categories)


def _is_same(name: str, typed: str) -> bool:
    return name.casefold() == typed.casefold()


def _with_keys(text: str, categories: Mapping[str, int]) -> Iterator[str]:
    if _is_encoded(text):
        yield from (f"{category}/{text}" for category in categories)
    for spelling in spellings(text):
        for category, number in categories.items():
            for keys in _divisions(spelling, number):
                yield "/".join((category, *map(key_text, keys)))


def _is_encoded(text: str) -> bool:
    """Whether this is a part of a stream's name, copied from somewhere."""
    return "%" in text and all(key_text(unquote(one)) == one for one in text.split("/"))


def _divisions(text: str, number: int) -> Iterator[list[str]]:
    """Yield what the first keys may be: a slash is in one of them, or between two."""
    parts = text.split("/")
    ways = (
        cuts
        for between in range(min(number, len(parts)))
        for cuts in combinations(range(1, len(parts)), between)
    )
    for cuts in islice(ways, _MOST_DIVISIONS):
        bounds = [0, *cuts, len(parts)]
        yield ["/".join(parts[one:beyond]) for one, beyond in pairwise(bounds)]


def spellings(text: str) -> Iterable[str]:
    """Return a text in the letters in which it may have become a key, as it was typed first.

    The same letters can be written by other code points; a UUID without hyphens; and who types a name
    may not know which of its letters are capital.
    """
    composed = normalize("NFC", text)
    found = [text, composed, normalize("NFD", text)]
    found += [composed.lower(), composed.upper(), composed.capitalize(), composed.title()]
    if len(text) > 30:  # UUID() takes shorter ones for parts of something else.
        with suppress(ValueError):
            found.append(str(UUID(text)))
    return dict.fromkeys(found)
