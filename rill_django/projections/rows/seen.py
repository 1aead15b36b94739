"""Which keys may have rows, in a table that was empty."""

from __future__ import annotations

from collections.abc import Iterable

from rill_django.projections.rows.entries import Key


class SeenKeys:
    """Keys that may have been written: a Bloom filter, two megabytes for any number of keys."""

    _BITS = 2**24

    def __init__(self) -> None:
        self._bits = bytearray(self._BITS // 8)

    def update(self, keys: Iterable[Key]) -> None:
        """Note keys."""
        bits = self._bits
        for key in keys:
            place = hash(key) % self._BITS
            bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, key: Key) -> bool:
        place = hash(key) % self._BITS
        return bool(self._bits[place >> 3] & (1 << (place & 7)))
