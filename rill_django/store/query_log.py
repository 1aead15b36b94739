"""Django's log of statements under ``DEBUG``, which long work would fill with all that it writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections


@contextmanager
def without_query_log() -> Iterator[None]:
    """Leave Django's log of statements as it is inside the ``with`` block; also a decorator.

    Under ``DEBUG`` each connection keeps its last 9,000 statements, with all values: those of an import
    or a rebuild are megabytes each. What somebody captures on purpose (``CaptureQueriesContext``,
    ``assertNumQueries``) is captured.
    """
    kept = [
        (one, one.queries_log)
        for one in connections.all()
        if one.queries_logged and not one.force_debug_cursor
    ]
    for one, _ in kept:
        one.queries_log = deque(maxlen=0)
    try:
        yield
    finally:
        for one, log in kept:
            one.queries_log = log
