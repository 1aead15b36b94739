"""What a verification of the log has found."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from rill_django.integrity.lost_fields import cure_of_lost_field


class Verdict(Enum):
    """What a verification comes to; of two, the worse one."""

    WHOLE = "whole"
    UNREADABLE = "unreadable"
    """Nothing is wrong with the log, but today's code cannot read all of it."""
    DAMAGED = "damaged"


class Damage(Enum):
    """Kinds of what is wrong, and what each means."""

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
    PAYLOAD = "payload"
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

    @property
    def is_of_code(self) -> bool:
        """Whether it is no damage of the log: another code would read it."""
        return self in (Damage.UNKNOWN_AGGREGATE, Damage.UNKNOWN_TYPE, Damage.UNREADABLE)


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
    Damage.PAYLOAD: "an event's payload is no JSON object",
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


class LostField(msgspec.Struct):
    """A field that stored events have, and that no code knows.

    Attributes:
        type: type of the events, after upcasting.
        field: its name in the payload, e.g. ``owner`` or ``address.street``.
        count: number of events.
        first: the first one, for comparing and in words.
    """

    type: str
    field: str
    count: int
    first: tuple[int, str]

    @property
    def cure(self) -> str:
        """What to do, in words."""
        return cure_of_lost_field(self.type, self.field)

    def add(self, other: LostField) -> None:
        """Add what was found elsewhere."""
        self.count += other.count
        self.first = min(self.first, other.first)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "type": self.type,
            "field": self.field,
            "count": self.count,
            "first": self.first[1],
            "cure": self.cure,
        }


class Findings(msgspec.Struct):
    """The result of checking a part of the log, or all of it.

    Attributes:
        events: how many were read.
        streams: how many there are.
        waiting: events that wait for their positions, which is no damage.
        unknown_types: number of events whose type today's code does not know, by type.
        passed_over: the same, of types that somebody has said to pass over, which is no damage.
        lost_fields: what stored events have beside the fields of their types, by type and name.
        damage: what else is wrong, by kind.
    """

    events: int = 0
    streams: int = 0
    waiting: int = 0
    unknown_types: dict[str, int] = msgspec.field(default_factory=dict)
    passed_over: dict[str, int] = msgspec.field(default_factory=dict)
    lost_fields: dict[tuple[str, str], LostField] = msgspec.field(default_factory=dict)
    damage: dict[Damage, Finding] = msgspec.field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """What all of it comes to."""
        if any(not kind.is_of_code for kind in self.damage):
            return Verdict.DAMAGED
        return Verdict.UNREADABLE if self.damage or self.lost_fields else Verdict.WHOLE

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict is Verdict.WHOLE

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

    def note_lost_field(self, found: LostField) -> None:
        """Add a field that no code knows."""
        key = (found.type, found.field)
        if key not in self.lost_fields and len(self.lost_fields) >= TYPES_AT_MOST:
            key = (OTHER_TYPES, OTHER_TYPES)
            found = msgspec.structs.replace(found, type=OTHER_TYPES, field=OTHER_TYPES)
        if key in self.lost_fields:
            self.lost_fields[key].add(found)
        else:
            self.lost_fields[key] = found

    def add(self, other: Findings) -> None:
        """Add what was found in another part of the log."""
        self.events += other.events
        self.streams += other.streams
        self.waiting += other.waiting
        for type, count in other.unknown_types.items():
            self.note_unknown(type, count)
        for type, count in other.passed_over.items():
            self.note_passed_over(type, count)
        for lost in other.lost_fields.values():
            self.note_lost_field(lost)
        for kind, found in other.damage.items():
            self._add(kind, found.count, found.examples)

    def in_order(self) -> list[tuple[Damage, Finding]]:
        """Return what is wrong in the order of the kinds."""
        return [(kind, self.damage[kind]) for kind in Damage if kind in self.damage]

    def lost_in_order(self) -> list[LostField]:
        """Return the fields that no code knows, in the order of their names."""
        return [found for _key, found in sorted(self.lost_fields.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "verdict": self.verdict.value,
            "whole": self.is_whole,
            "events": self.events,
            "streams": self.streams,
            "waiting": self.waiting,
            "unknown_types": dict(sorted(self.unknown_types.items())),
            "passed_over": dict(sorted(self.passed_over.items())),
            "damage": self._listed(is_of_code=False),
            "unreadable": self._listed(is_of_code=True),
            "unknown_fields": [found.to_dict() for found in self.lost_in_order()],
        }

    def _listed(self, *, is_of_code: bool) -> list[dict[str, Any]]:
        return [
            {
                "kind": kind.value,
                "meaning": kind.meaning,
                "count": found.count,
                "examples": [what for _at, what in found.examples],
            }
            for kind, found in self.in_order()
            if kind.is_of_code is is_of_code
        ]


def shown(text: str) -> str:
    """Return a text in a length that can be shown."""
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[:LONGEST_EXAMPLE]}…"


def _count(counts: dict[str, int], name: str, number: int) -> None:
    if name not in counts and len(counts) >= TYPES_AT_MOST:
        name = OTHER_TYPES
    counts[name] = counts.get(name, 0) + number
