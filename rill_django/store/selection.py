"""Which events a reader wants."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Selection(msgspec.Struct, frozen=True):
    """A question to the store. All that is given must hold.

    With a stream, events come in the order of their versions; without, of their positions.

    Attributes:
        stream: only this stream.
        category: only streams of this aggregate type, e.g. ``bank.Account``.
        types: only events of these type names; empty: of all.
        after: only positions greater than this (with ``backwards``: smaller), exclusive.
        from_version: only versions from this one on (with ``backwards``: up to it), inclusive.
        as_of: only what was recorded at this time or before.
        backwards: the latest first.
        limit: at most so many; ``None``: all.
    """

    stream: str | None = None
    category: str | None = None
    types: frozenset[str] = frozenset()
    after: int | None = None
    from_version: int | None = None
    as_of: datetime | None = None
    backwards: bool = False
    limit: int | None = None

    @property
    def category_bounds(self) -> tuple[str, str]:
        """Lowest stream name of the category, and the first one beyond it, in byte order."""
        return f"{self.category}/", f"{self.category}{chr(ord('/') + 1)}"
