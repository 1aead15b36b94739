"""What a verification of the log has found."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class Damage(Enum):
    """Kinds of damage, and what each means."""

    HOLE = "position-missing"
    LOST_EVENT = "event-missing"
    BELOW_ONE = "position-below-one"
    UNPLACED = "event-without-position"
    WAITING_FOR_NOTHING = "waiting-without-event"
    WAITING_TWICE = "waiting-with-position"
    VERSIONS = "version-gap"
    ORDER = "order-of-versions"
    STREAM = "stream-name"
    UNREADABLE = "unreadable-event"
    METADATA = "metadata"
    WRONG_STREAM = "wrong-stream"

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Damage.HOLE: "a position is missing",
    Damage.LOST_EVENT: "a position has lost its event",
    Damage.BELOW_ONE: "a position is below 1",
    Damage.UNPLACED: "an event has no position and is not waiting for one",
    Damage.WAITING_FOR_NOTHING: "what waits for a position is no event",
    Damage.WAITING_TWICE: "an event waits for a position that it has",
    Damage.VERSIONS: "a stream's versions are not consecutive from 0",
    Damage.ORDER: "an event is positioned before an earlier version of its stream",
    Damage.STREAM: "a stream's name is not canonical",
    Damage.UNREADABLE: "an event cannot be read by today's code",
    Damage.METADATA: "metadata are not a JSON object",
    Damage.WRONG_STREAM: "an event is in a stream that is not its own",
}


class Finding(msgspec.Struct):
    """All that was found of one kind.

    Attributes:
        count: how often.
        at: where the first is, for comparing; a position if it has one.
        first: the first in words.
    """

    count: int
    at: int
    first: str


class Findings(msgspec.Struct):
    """The result of checking a part of the log, or all of it.

    Attributes:
        events: how many were read.
        streams: how many there are.
        waiting: events that wait for their positions, which is no damage.
        unknown_types: number of events whose type today's code does not know, by type; no damage.
        damage: by kind.
    """

    events: int = 0
    streams: int = 0
    waiting: int = 0
    unknown_types: dict[str, int] = msgspec.field(default_factory=dict)
    damage: dict[Damage, Finding] = msgspec.field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether there is no damage."""
        return not self.damage

    def note(self, kind: Damage, at: int, what: str, count: int = 1) -> None:
        """Add damage; ``what`` is said of it if it is the first of its kind."""
        known = self.damage.get(kind)
        if known is None:
            self.damage[kind] = Finding(count, at, what)
            return
        known.count += count
        if at < known.at:
            known.at, known.first = at, what

    def note_unknown(self, type: str, count: int = 1) -> None:
        """Count events of a type that today's code does not know."""
        self.unknown_types[type] = self.unknown_types.get(type, 0) + count

    def add(self, other: Findings) -> None:
        """Add what was found in another part of the log."""
        self.events += other.events
        self.streams += other.streams
        self.waiting += other.waiting
        for type, count in other.unknown_types.items():
            self.note_unknown(type, count)
        for kind, found in other.damage.items():
            self.note(kind, found.at, found.first, found.count)

    def in_order(self) -> list[tuple[Damage, Finding]]:
        """Return the damage in the order of the kinds."""
        return [(kind, self.damage[kind]) for kind in Damage if kind in self.damage]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "whole": self.is_whole,
            "events": self.events,
            "streams": self.streams,
            "waiting": self.waiting,
            "unknown_types": dict(sorted(self.unknown_types.items())),
            "damage": [
                {
                    "kind": kind.value,
                    "meaning": kind.meaning,
                    "count": found.count,
                    "first": found.first,
                }
                for kind, found in self.in_order()
            ],
        }
