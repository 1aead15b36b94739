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
    DOUBLE = "position-twice"
    UNPLACED = "event-without-position"
    WAITING_FOR_NOTHING = "waiting-without-event"
    WAITING_TWICE = "waiting-with-position"
    VERSIONS = "version-gap"
    ORDER = "order-of-versions"
    UNKNOWN_AGGREGATE = "unknown-aggregate"
    UNKNOWN_TYPE = "unknown-type"
    NOT_NOTED = "type-not-noted"
    STORED_TYPE = "stored-type"
    STREAM = "stream-name"
    TYPE = "type-name"
    ROW = "unreadable-row"
    UNREADABLE = "unreadable-event"
    METADATA = "metadata"
    WRONG_STREAM = "wrong-stream"
    ANSWER = "answer"
    CHECKPOINT = "checkpoint"
    UNPROTECTED = "unprotected"
    CHECK = "check-failed"

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Damage.HOLE: "a position is missing",
    Damage.LOST_EVENT: "a position has lost its event",
    Damage.BELOW_ONE: "a position is below 1",
    Damage.DOUBLE: "a position, or an event's position, is there twice",
    Damage.UNPLACED: "an event has no position and is not waiting for one",
    Damage.WAITING_FOR_NOTHING: "what waits for a position is no event",
    Damage.WAITING_TWICE: "an event waits for a position that it has",
    Damage.VERSIONS: "a stream's versions are not consecutive from 0",
    Damage.ORDER: "an event is positioned before an earlier version of its stream",
    Damage.UNKNOWN_AGGREGATE: "an event is in a stream of an aggregate type that no code knows",
    Damage.UNKNOWN_TYPE: "an event is of a type that no code knows",
    Damage.NOT_NOTED: "an event's type is not in the table of stored types",
    Damage.STORED_TYPE: "a row of the table of stored types names no event of that type",
    Damage.STREAM: "a stream's name is not canonical",
    Damage.TYPE: "a type's name is not one that the log can hold",
    Damage.ROW: "a row of the table of events cannot be read",
    Damage.UNREADABLE: "an event cannot be read by today's code",
    Damage.METADATA: "metadata are not as they must be",
    Damage.WRONG_STREAM: "an event is in a stream that is not its own",
    Damage.ANSWER: "an answer to an idempotency key is damaged",
    Damage.CHECKPOINT: "a projection's checkpoint is not one that the log confirms",
    Damage.UNPROTECTED: "the database does not refuse to change the log",
    Damage.CHECK: "a check could not be done",
}


EXAMPLES = 5
"""So many of each kind are kept and shown; all are counted."""

LONGEST_EXAMPLE = 500
"""Characters. What is damaged may be of any length."""

TYPES_AT_MOST = 1_000
"""Names of types that are counted one by one; those beyond are counted together."""

OTHER_TYPES = "(others)"


class Finding(msgspec.Struct):
    """All that was found of one kind.

    Attributes:
        count: how often.
        examples: the first ones in words, each with where it is, for comparing; a position if it has one.
    """

    count: int
    examples: list[tuple[int, str]]

    @property
    def first(self) -> str:
        """The first one in words."""
        return self.examples[0][1]

    def add(self, count: int, examples: list[tuple[int, str]]) -> None:
        """Add what else was found of the kind."""
        self.count += count
        self.examples = sorted({*self.examples, *examples})[:EXAMPLES]


class Findings(msgspec.Struct):
    """The result of checking a part of the log, or all of it.

    Attributes:
        events: how many were read.
        streams: how many there are.
        waiting: events that wait for their positions, which is no damage.
        unknown_types: number of events whose type today's code does not know, by type.
        passed_over: the same, of types that somebody has said to pass over, which is no damage.
        damage: by kind.
    """

    events: int = 0
    streams: int = 0
    waiting: int = 0
    unknown_types: dict[str, int] = msgspec.field(default_factory=dict)
    passed_over: dict[str, int] = msgspec.field(default_factory=dict)
    damage: dict[Damage, Finding] = msgspec.field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether there is no damage."""
        return not self.damage

    def note(self, kind: Damage, at: int, what: str, count: int = 1) -> None:
        """Add damage; ``what`` is said of it if it is among the first of its kind."""
        self._add(kind, count, [(at, shown(what))])

    def _add(self, kind: Damage, count: int, examples: list[tuple[int, str]]) -> None:
        known = self.damage.get(kind)
        if known is None:
            self.damage[kind] = Finding(count, examples)
        elif len(known.examples) == EXAMPLES and examples[0] > known.examples[-1]:
            known.count += count
        else:
            known.add(count, examples)

    def note_unknown(self, type: str, count: int = 1) -> None:
        """Count events of a type that today's code does not know."""
        _count(self.unknown_types, type, count)

    def note_passed_over(self, type: str, count: int = 1) -> None:
        """Count events of a type that today's code does not know, and need not."""
        _count(self.passed_over, type, count)

    def add(self, other: Findings) -> None:
        """Add what was found in another part of the log."""
        self.events += other.events
        self.streams += other.streams
        self.waiting += other.waiting
        for type, count in other.unknown_types.items():
            self.note_unknown(type, count)
        for type, count in other.passed_over.items():
            self.note_passed_over(type, count)
        for kind, found in other.damage.items():
            self._add(kind, found.count, found.examples)

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
            "passed_over": dict(sorted(self.passed_over.items())),
            "damage": [
                {
                    "kind": kind.value,
                    "meaning": kind.meaning,
                    "count": found.count,
                    "examples": [what for _at, what in found.examples],
                }
                for kind, found in self.in_order()
            ],
        }


def shown(text: str) -> str:
    """Return a text in a length that can be shown."""
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[:LONGEST_EXAMPLE]}…"


def _count(counts: dict[str, int], name: str, number: int) -> None:
    if name not in counts and len(counts) >= TYPES_AT_MOST:
        name = OTHER_TYPES
    counts[name] = counts.get(name, 0) + number
