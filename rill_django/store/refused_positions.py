"""A database that takes no positions from this connection: a server that only reads, or with a full disk."""

from __future__ import annotations

import time

from django.db import DatabaseError

from rill_django.store.trouble import Trouble, trouble_of

TRY_EVERY_SECONDS = 1.0
"""How often it is asked to take them all the same."""


class RefusedPositions:
    """Why it takes none, and when to try again."""

    def __init__(self) -> None:
        self.reason = ""
        """Why it took none when it was asked for last; empty: it took them."""
        self._due = 0.0

    @property
    def is_to_be_left(self) -> bool:
        """Whether it has said so just now."""
        return bool(self.reason) and time.monotonic() < self._due

    def note(self, error: DatabaseError, *, is_lost: bool) -> None:
        """Note what it has said.

        Args:
            error: its words.
            is_lost: whether it is about a connection that is gone.

        Raises:
            DatabaseError: it says something else, or the connection is gone.
        """
        if is_lost or trouble_of(error) not in (Trouble.SERVER, Trouble.SCHEMA):
            raise error
        self.reason = f"The database takes no positions: {error}"
        self._due = time.monotonic() + TRY_EVERY_SECONDS

    def end(self) -> None:
        """Note that it has taken them."""
        self.reason = ""
