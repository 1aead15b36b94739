"""Which events a reader wants."""

from __future__ import annotations

from datetime import datetime
from hashlib import md5

import msgspec

_DIGITS = 8
_NUMBERS: int = 16**_DIGITS


class Selection(msgspec.Struct, frozen=True):
    """A question to the store. All that is given must hold.

    With a stream, events come in the order of their versions; without, of their positions.

    Attributes:
        stream: only this stream.
        category: only streams of this aggregate type, e.g. ``bank.Account``.
        types: only events of these type names; empty: of all.
        after: only positions greater than this (with ``backwards``: smaller), exclusive.
        up_to: only positions up to this (with ``backwards``: down to it), inclusive.
        from_version: only versions from this one on (with ``backwards``: up to it), inclusive.
        as_of: only what was recorded at this time or before.
        share: only streams of this share, from 0, of so many that the log is divided into.
        backwards: the latest first.
        limit: at most so many; ``None``: all.
        max_bytes: no more behind the event with which payloads and metadata reach so many bytes; ``None``:
            however many.
    """

    stream: str | None = None
    category: str | None = None
    types: frozenset[str] = frozenset()
    after: int | None = None
    up_to: int | None = None
    from_version: int | None = None
    as_of: datetime | None = None
    share: tuple[int, int] | None = None
    backwards: bool = False
    limit: int | None = None
    max_bytes: int | None = None

    @property
    def is_of_all(self) -> bool:
        """Whether every event of the positions that are asked for is wanted."""
        return not (self.stream or self.category or self.types or self.share or self.as_of)

    @property
    def category_bounds(self) -> tuple[str, str]:
        """Lowest stream name of the category, and the first one beyond it, in byte order."""
        return f"{self.category}/", f"{self.category}{chr(ord('/') + 1)}"

    @property
    def share_bounds(self) -> tuple[str, str]:
        """Lowest digest of a stream's name that is in the share, and the first one beyond, as hex digits.

        MD5 tells streams apart evenly, and nearly every database has it. A store may divide its log in
        another way, but always in the same.
        """
        number, of = self.share or (0, 1)
        low, beyond = (-(-one * _NUMBERS // of) for one in (number, number + 1))
        return f"{low:0{_DIGITS}x}", f"{beyond:0{_DIGITS}x}" if beyond < _NUMBERS else "g"


def digest_of(stream: str) -> str:
    """Return what says which share a stream is in, by `Selection.share_bounds`."""
    return md5(stream.encode(), usedforsecurity=False).hexdigest()
