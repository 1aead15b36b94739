"""How often Python looks for garbage while projections work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 10_000
"""Objects that are made before Python looks at the youngest ones; 700 by default."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage less often; also a decorator.

    A batch makes ten thousands of objects: events, rows, and what belongs to them. None of it is garbage
    that reference counts would not find, but to look at all rows in memory again and again takes a tenth
    of the time of catching up, as measured. This concerns the whole process. A collector that is off, or
    looks less often still, is left alone.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < ALLOCATIONS:
        yield
        return
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
