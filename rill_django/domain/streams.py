"""Canonical stream names: ``bank.Account/12345678``, several keys joined by ``/``."""

from __future__ import annotations

from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

MAX_STREAM_LENGTH = 255

# Characters that stay as they are, so that e-mail addresses and times remain readable.
_SAFE = "@:+"


@lru_cache(maxsize=10_000)  # A command asks for the same name several times.
def stream_name(category: str, keys: tuple[Any, ...]) -> str:
    """Return the name of the stream of an aggregate type and its key values.

    Key values may be str, int, UUID, date or Enum; each is percent-encoded, so that the name is
    ASCII and no key can be taken for two.
    """
    return "/".join((category, *(key_text(_text(value)) for value in keys)))


def key_text(key: str) -> str:
    """Return a key's text as it stands in a stream's name, percent-encoded."""
    return quote(key, safe=_SAFE)


def split_stream(stream: str) -> tuple[str, tuple[str, ...]]:
    """Return category and key texts of a stream name; the inverse of `stream_name`."""
    category, *keys = stream.split("/")
    return category, tuple(unquote(text) for text in keys)


def _text(value: Any) -> str:
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
