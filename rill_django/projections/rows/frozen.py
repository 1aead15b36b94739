"""JSON values in memory, which handlers may change in place."""

from __future__ import annotations

import json
from typing import Any

from rill_django.projections.rows.settling import UNSURE, Settle


class Frozen:
    """A JSON value in memory, and its text from before the handlers saw it."""

    __slots__ = ("live", "text")

    def __init__(self, live: Any) -> None:
        self.live = live
        self.text = json.dumps(live)

    @property
    def is_unchanged(self) -> bool:
        """Whether the value in memory is as it was."""
        try:
            # The text alone cannot tell a tuple from a list.
            return json.dumps(self.live) == self.text and bool(json.loads(self.text) == self.live)
        except (TypeError, ValueError):
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


def freeze(old: Any, value: Any, settle: Settle) -> Any:
    """Return a JSON value, settled, as a `Frozen`: the old one, if nothing has changed.

    ``None`` and `UNSURE` are not frozen.
    """
    if isinstance(old, Frozen) and old.live is value and old.is_unchanged:
        return old
    found = settle(value)
    return found if found is UNSURE or found is None else Frozen(found)
