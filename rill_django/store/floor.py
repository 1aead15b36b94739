"""Below which event ids nothing can wait for a position any more, as far as this process knows.

Rows leave the queue of events without a position, but a database keeps dead rows for as long as anybody's
old snapshot might see them. A look that began at the queue's beginning would step over all of them, every
time. See docs/decisions/0002.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    from rill_django.store.dialect import Dialect, Look

WORTH_RAISING = 1_000
"""Ids that the floor has to gain: so many dead rows cost a look less than 0.1 ms."""

WHOLE_LOOK_SECONDS = 60.0
"""After so long a look begins at the beginning again, whatever the floor is: nothing is ever left behind
by what nobody has thought of, such as rows that are put into the queue by hand."""


class Floor:
    """Knows nothing: all looks begin at the beginning. Safe to use from several threads."""

    def parameters(self) -> dict[str, Any]:
        """Return what the dialect's statements need to know."""
        return {}

    def note(self, connection: BaseDatabaseWrapper, look: Look) -> None:
        """Learn from a look after which nothing is left that it can have seen."""

    def forget(self) -> None:
        """Know nothing: the log is another one."""


class WholeLooks:
    """When a look has to begin at the beginning again."""

    def __init__(self) -> None:
        self._due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is the next one."""
        return time.monotonic() >= self._due

    def take(self) -> bool:
        """Return whether it is this one."""
        if not self.is_due:
            return False
        self._due = time.monotonic() + WHOLE_LOOK_SECONDS
        return True


_floors: dict[tuple[object, ...], Floor] = {}
_lock = Lock()


def floor_of(connection: BaseDatabaseWrapper, dialect: Dialect) -> Floor:
    """Return what this process knows about the log in the connection's database."""
    settings = connection.settings_dict
    schema = getattr(connection, "schema_name", None)  # With a schema for each tenant.
    key = (*(settings[name] for name in ("ENGINE", "HOST", "PORT", "NAME")), schema)
    found = _floors.get(key)
    if found is None:
        with _lock:
            found = _floors.setdefault(key, dialect.new_floor())
    return found
