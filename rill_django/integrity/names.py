"""Whether names of streams and types are such as the log can hold."""

from __future__ import annotations

import re
from functools import lru_cache

from rill_django.domain.streams import MAX_STREAM_LENGTH, split_stream, stream_name
from rill_django.store.tables import MAX_TYPE_LENGTH

_TYPE = re.compile(rf"[!-~]{{1,{MAX_TYPE_LENGTH}}}")


@lru_cache(maxsize=4096)
def fault_of_stream(stream: str) -> str | None:
    """Return what is wrong with a stream's name; ``None``: it is canonical."""
    if not stream.isascii() or not stream.isprintable() or " " in stream:
        return "has characters that are not printable ASCII, or blanks"
    if len(stream) > MAX_STREAM_LENGTH:
        return f"has {len(stream)} characters; {MAX_STREAM_LENGTH} are the most"
    category, keys = split_stream(stream)
    if not category or not keys or "" in keys:
        return "is not a category and keys, such as bank.Account/12345678"
    canonical = stream_name(category, tuple(keys))
    return None if canonical == stream else f"is not canonical: that would be {canonical}"


@lru_cache(maxsize=4096)
def fault_of_type(type: str) -> str | None:
    """Return what is wrong with a type's name; ``None``: nothing."""
    if _TYPE.fullmatch(type):
        return None
    return f"type {type!r} is not 1 to {MAX_TYPE_LENGTH} printable ASCII characters"
