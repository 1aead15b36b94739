"""What speaks against an import, found before anything is stored, and accepted only by name."""

from __future__ import annotations

from enum import Enum

import msgspec

from rill_django.domain.json_texts import MOST_LEVELS, doubled_keys_of, levels_of
from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import Registry
from rill_django.integrity.contents import ContentCheck
from rill_django.integrity.findings import Damage, Finding, Findings
from rill_django.integrity.lines import Incoming

AT_ONCE = 500
BYTES_AT_ONCE = 4_000_000


class Objection(Enum):
    """Kinds of what speaks against an import; by these names they are accepted."""

    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown-types"
    REFUSED = "refused-values"
    WRONG_STREAM = "wrong-streams"
    DOUBLED = "doubled-keys"
    DEEP = "deep-values"
    REPEATED = "repeated-events"

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Objection.INCOMPLETE: "it is no complete export",
    Objection.UNKNOWN: "events that no code knows",
    Objection.REFUSED: "events with values that today's code refuses",
    Objection.WRONG_STREAM: "events in streams that are not their own",
    Objection.DOUBLED: "objects in which a key is twice, of which only the last would be kept",
    Objection.DEEP: f"values of more than {MOST_LEVELS} levels, which not all databases take",
    Objection.REPEATED: "events that come more than once, maybe each time with other content",
}

_OF_DAMAGE = {
    Damage.UNKNOWN_TYPE: Objection.UNKNOWN,
    Damage.UNKNOWN_AGGREGATE: Objection.UNKNOWN,
    Damage.UNREADABLE: Objection.REFUSED,
    Damage.METADATA: Objection.REFUSED,
    Damage.WRONG_STREAM: Objection.WRONG_STREAM,
}


class Inspection:
    """Looks at every line of an import.

    Args:
        registry: today's types and upcasters.
    """

    def __init__(self, registry: Registry) -> None:
        self._findings = Findings()
        self._contents = ContentCheck(registry, self._findings, place="line", is_strict=True)
        self._waiting: list[StoredEvent] = []
        self._waiting_bytes = 0
        self._own: dict[Objection, Finding] = {}

    def look_at(self, line: bytes, one: Incoming) -> None:
        """Look at a line, and at the event that was read from it."""
        doubled = doubled_keys(line)
        if doubled:
            keys = ", ".join(map(repr, doubled[:5]))
            self._object(Objection.DOUBLED, one.number, f"{one.identity}: {keys}")
        levels = levels_of(one.event.data, one.event.metadata)
        if levels > MOST_LEVELS:
            self._object(Objection.DEEP, one.number, f"{one.identity}: {levels:,} levels")
        event = one.event
        assert event.recorded_at is not None
        self._waiting.append(
            StoredEvent(
                one.stream,
                one.version,
                one.number,
                event.type,
                event.data,
                event.metadata,
                event.recorded_at,
            )
        )
        self._waiting_bytes += len(line)
        if len(self._waiting) >= AT_ONCE or self._waiting_bytes >= BYTES_AT_ONCE:
            self._check()

    def note_repeated(self, one: Incoming) -> None:
        """Note an event that came before."""
        self._object(Objection.REPEATED, one.number, one.identity)

    def objections(self, fault: str | None) -> dict[Objection, Finding]:
        """Return what speaks against the import.

        Args:
            fault: why the file is no complete export, if it is none.
        """
        self._check()
        if fault is not None:
            self._object(Objection.INCOMPLETE, 0, fault, place="")
        found = dict(self._own)
        for damage, finding in self._findings.damage.items():
            kind = _OF_DAMAGE.get(damage, Objection.REFUSED)
            if kind in found:
                found[kind].add(finding.count, finding.examples)
            else:
                found[kind] = Finding(finding.count, list(finding.examples))
        return {kind: found[kind] for kind in Objection if kind in found}

    def _check(self) -> None:
        self._contents.check(self._waiting)
        self._waiting, self._waiting_bytes = [], 0

    def _object(self, kind: Objection, number: int, what: str, *, place: str = "line ") -> None:
        told = (number, f"{place}{number:,}, {what}" if place else what)
        if kind in self._own:
            self._own[kind].add(1, [told])
        else:
            self._own[kind] = Finding(1, [told])


class _Line(msgspec.Struct):
    metadata: str = "{}"


_line = msgspec.json.Decoder(_Line)


def doubled_keys(line: bytes) -> list[str]:
    """Return the keys that are twice in an object of a line, or in its metadata."""
    return doubled_keys_of(line.decode()) + doubled_keys_of(_line.decode(line).metadata)
