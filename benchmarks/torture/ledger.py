"""What each writer knows: what it appended, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

Outcome = Literal["committed", "rolled back", "conflict", "deadlock", "wrongly refused"]


class Appended(msgspec.Struct, frozen=True, array_like=True):
    """An event as its writer appended it. The marker is in its payload and nowhere else."""

    stream: str
    version: int
    marker: str


class Entry(msgspec.Struct, frozen=True):
    """One transaction.

    Attributes:
        writer: who it was.
        outcome: what became of it; whatever is not ``committed`` must never be seen. ``wrongly
            refused``: an append to a stream that nobody else appends to.
        events: what it appended and, if it was committed, kept.
        discarded: markers of what was rolled back, with a savepoint or with everything.
        ended_at: seconds since the epoch.
        waited: seconds that its slowest append to a stream of the writer's own took.
    """

    writer: str
    outcome: Outcome
    events: list[Appended]
    discarded: list[str]
    ended_at: float
    waited: float


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Ledger:
    """A file of entries, one a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, entry: Entry) -> None:
        """Add an entry; it is in the file when this returns."""
        with self._path.open("ab") as file:
            file.write(_encoder.encode(entry) + b"\n")

    def __iter__(self) -> Iterator[Entry]:
        with self._path.open("rb") as file:
            yield from map(_decoder.decode, file)


def ledgers(folder: str) -> Iterator[Entry]:
    """Yield the entries of all writers."""
    for path in sorted(Path(folder).glob("*.ledger")):
        yield from Ledger(path)
