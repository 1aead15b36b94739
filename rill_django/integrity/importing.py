"""Lines into the log: batch by batch, each all or nothing, in the order of the lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from rill_django.domain.errors import InvalidMessage, RillError
from rill_django.domain.records import NewEvent
from rill_django.integrity.lines import Incoming, MalformedLine, from_line
from rill_django.integrity.lookup import events_at, versions_of
from rill_django.integrity.reading import connection_of
from rill_django.repository import Limits
from rill_django.store.dialect import Row
from rill_django.store.orm import DjangoEventStore, dialect_of
from rill_django.store.protocol import EMPTY_STREAM, Append, WrongExpectedVersion
from rill_django.store.query_log import without_query_log

BATCH_BYTES = 4_000_000
"""Most bytes of the lines that are stored in one transaction, but for the last one."""

TRIES = 5
"""How often a batch is planned anew when others append to its streams meanwhile."""

Identity = tuple[str, int]


class ImportRefused(RillError, ValueError):
    """A line cannot be imported. Nothing of its batch was stored.

    Attributes:
        number: of the line, from 1.
        reason: what is wrong.
    """

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        self.reason = reason
        super().__init__(f"line {number:,}: {reason}")

    def __reduce__(self) -> tuple[type[ImportRefused], tuple[int, str]]:
        return type(self), (self.number, self.reason)


def plan(
    batch: Iterable[Incoming],
    versions: Mapping[str, int],
    stored: Mapping[Identity, NewEvent],
) -> list[Incoming]:
    """Return the events that have to be appended; the others are there already.

    Args:
        batch: what was read.
        versions: of the last event of each stream that has any.
        stored: the events of the batch that are there, in canonical form.

    Raises:
        ImportRefused: an event is there and says something else, or one before it is missing.
    """
    last = dict(versions)
    there = dict(stored)
    new: list[Incoming] = []
    for one in batch:
        version = last.get(one.stream, EMPTY_STREAM)
        identity = one.stream, one.version
        if one.version <= version:
            # What an earlier batch of a dry run would have stored cannot be compared.
            if there.get(identity, one.event) != one.event:
                raise ImportRefused(one.number, _difference(one, there[identity]))
        elif one.version > version + 1:
            at = "has no events" if version == EMPTY_STREAM else f"ends at version {version}"
            raise ImportRefused(
                one.number,
                f"{one.identity} leaves a gap: the stream {at}, so version {version + 1} is next",
            )
        else:
            last[one.stream] = one.version
            there[identity] = one.event
            new.append(one)
    return new


def _difference(one: Incoming, there: NewEvent) -> str:
    names = [
        name
        for name in one.event.__struct_fields__
        if getattr(one.event, name) != getattr(there, name)
    ]
    differing = ", ".join("time" if name == "recorded_at" else name for name in names)
    return f"{one.identity} is there already, but with other content: {differing}"


def is_consecutive(batch: Iterable[Incoming]) -> bool:
    """Whether the events of each stream follow on each other, so that all of them may be new."""
    last: dict[str, int] = {}
    for one in batch:
        if last.setdefault(one.stream, one.version - 1) != one.version - 1:
            return False
        last[one.stream] = one.version
    return True


def appends_of(events: Iterable[Incoming]) -> list[Append]:
    """Return appends that keep the order of the events; neighbours of one stream are together."""
    return [_append(list(run)) for _, run in groupby(events, key=attrgetter("stream"))]


def _append(events: Sequence[Incoming]) -> Append:
    first = events[0]
    return Append(first.stream, first.version - 1, [one.event for one in events])


class Import:
    """Reads lines and appends what is not there yet.

    Args:
        store: where to.
        batch_size: lines that are stored in one transaction.
        dry_run: check everything, store nothing.
        within: called in the transaction of every batch that appends something, behind the events.
        look_at: called with every line and what was read from it.
        repeated: called, in a dry run, with what an earlier batch would have stored, but may say otherwise.
        most_bytes: of one event's data and metadata.

    Attributes:
        lines: read and done with so far.
        imported: events appended so far; with ``dry_run``: that would have been.
        present: events that were there already.
    """

    def __init__(
        self,
        store: DjangoEventStore,
        *,
        batch_size: int = 1_000,
        dry_run: bool = False,
        within: Callable[[], object] = lambda: None,
        look_at: Callable[[bytes, Incoming], object] = lambda line, one: None,
        repeated: Callable[[Incoming], object] = lambda one: None,
        most_bytes: int = Limits().event_bytes,
    ) -> None:
        self._store = store
        self._batch_size = batch_size
        self._dry_run = dry_run
        self._within = within
        self._look_at = look_at
        self._repeated = repeated
        self._most_bytes = most_bytes
        self._imagined: dict[str, int] = {}
        self._looks_first = dry_run
        self.lines = self.imported = self.present = 0

    def run(self, lines: Iterable[bytes]) -> Iterator[int]:
        """Yield the number of lines done, after every batch.

        Raises:
            ImportRefused: nothing of the batch was stored; the batches before it are.
        """
        numbered = enumerate(lines, start=1)
        for number, batch in self._batches(numbered):
            if batch:
                imported = self._import(batch)
                self.imported += imported
                self.present += len(batch) - imported
            self.lines = number
            yield self.lines

    def _batches(
        self, numbered: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[int, Sequence[Incoming]]]:
        """Yield events, a few lines or bytes at a time, each time with the number of the last line."""
        batch: list[Incoming] = []
        number = lines = size = 0
        for number, line in numbered:
            lines += 1
            size += len(line)
            if not line.isspace():
                batch.append(self._read(number, line))
            if lines >= self._batch_size or size >= BATCH_BYTES:
                yield number, batch
                batch, lines, size = [], 0, 0
        if lines:
            yield number, batch

    def _read(self, number: int, line: bytes) -> Incoming:
        try:
            one = from_line(line, number)
        except MalformedLine as error:
            raise ImportRefused(number, str(error)) from error
        size = len(one.event.data) + len(one.event.metadata)
        if size > self._most_bytes:
            raise ImportRefused(
                number,
                f"{one.identity} has {size:,} bytes, and at most {self._most_bytes:,} are allowed "
                "(RILL['MAX_EVENT_BYTES']). Allow more for this import: --max-event-bytes",
            )
        if self._dry_run:
            self._refuse_unfit(one)
        self._look_at(line, one)
        return one

    def _refuse_unfit(self, one: Incoming) -> None:
        """Refuse what the append would refuse, of which nobody knows how much is stored by then."""
        event = one.event
        row = Row(
            one.stream,
            one.version,
            event.type,
            event.data.decode(),
            event.metadata.decode(),
            event.recorded_at,
        )
        connection = connection_of(self._store)
        try:
            dialect_of(connection).refuse_unfit(connection, [row])
        except InvalidMessage as error:
            raise ImportRefused(one.number, f"{one.identity}: {error}") from error

    @without_query_log()
    def _import(self, batch: Sequence[Incoming]) -> int:
        # The append itself checks versions, so what is probably new need not be looked up before.
        if not self._looks_first and is_consecutive(batch) and self._append(batch) is None:
            return len(batch)
        moved = None
        for _ in range(TRIES):
            new = self._planned(batch)
            if self._dry_run:
                self._imagined.update((one.stream, one.version) for one in new)
                return len(new)
            self._looks_first = len(new) < len(batch)
            moved = self._append(new)
            if moved is None:
                return len(new)
        number = next(one.number for one in batch if one.stream == moved)
        raise ImportRefused(number, f"others keep appending to {moved}")

    def _append(self, events: Sequence[Incoming]) -> str | None:
        """Append all or none; return the stream that was at another version, if one was."""
        try:
            self._store.append_all(appends_of(events), within=lambda stored: self._within())
        except WrongExpectedVersion as lost:
            return lost.stream
        return None

    def _planned(self, batch: Sequence[Incoming]) -> list[Incoming]:
        versions = versions_of(self._store, {one.stream for one in batch})
        there = {
            (one.stream, one.version)
            for one in batch
            if one.version <= versions.get(one.stream, EMPTY_STREAM)
        }
        stored = events_at(self._store, there)
        for one in batch:
            imagined = self._imagined.get(one.stream, EMPTY_STREAM)
            if one.version <= imagined and (one.stream, one.version) not in there:
                self._repeated(one)
            if imagined > versions.get(one.stream, EMPTY_STREAM):
                versions[one.stream] = imagined
        return plan(batch, versions, stored)
