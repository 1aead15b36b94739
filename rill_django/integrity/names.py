"""Whether a stream's name is the one and only name of that stream."""

from __future__ import annotations

from functools import lru_cache

from rill_django.domain.streams import MAX_STREAM_LENGTH, split_stream, stream_name


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
