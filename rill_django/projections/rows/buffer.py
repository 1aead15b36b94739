"""Rows in memory: loaded once, changed by handlers, written when asked to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from time import monotonic
from typing import Any

from django.db import IntegrityError, transaction

from rill_django.domain.errors import RillError
from rill_django.domain.records import RecordedEvent
from rill_django.projections.at_work import AtWork
from rill_django.projections.handler_results import DELETE, refuse_result
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rows.alike import alike_among, keys_alike, tells_keys_apart
from rill_django.projections.rows.asking import Asking
from rill_django.projections.rows.changes import Changes
from rill_django.projections.rows.claims import Claims
from rill_django.projections.rows.entries import Entry, Key, Values
from rill_django.projections.rows.keys import RowKeys
from rill_django.projections.rows.seen import SeenKeys
from rill_django.projections.rows.sizes import Sizes
from rill_django.projections.sessions import Session
from rill_django.projections.turns import Turn

Handler = Callable[..., Any]


class BufferIsBroken(RillError, RuntimeError):
    """Something failed, so that the rows in memory are not those of the database."""


class RowBuffer(Session):
    """Rows of a `RowProjection` that stay in memory. See `Session` for how to use it.

    The outcome is that of one event at a time, wherever ``flush`` is called: rows look as if they had
    been stored and loaded after every event (see `settling`); and a row that takes a unique value
    which another one in memory has or had is written after it.

    Args:
        projection: what handlers are called with.
        handlers: by event type name.
        keys: which rows an event changes, and where they are.
        max_rows: rows in memory, beyond which they are written and forgotten after an ``apply``.
        is_empty: the table has no rows, so that none has to be looked for.
        is_shared: others may change the same rows, so that they are locked when they are loaded.
    """

    def __init__(
        self,
        projection: Any,
        handlers: Mapping[str, Handler],
        keys: RowKeys,
        *,
        max_rows: int,
        is_empty: bool,
        is_shared: bool = False,
    ) -> None:
        self._projection = projection
        self._handlers = handlers
        self._keys = keys
        self._max_rows = max_rows
        self._is_shared = is_shared
        self._written = SeenKeys() if is_empty else None
        self._entries: dict[Key, Entry] = {}
        self._dirty: list[Entry] = []
        self._is_broken = False
        self._has_table = False
        self._claims: Claims | None = None
        self._suspects: set[Key] = set()
        self._asking = Asking(self._write)
        self._here: AtWork

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, events: Iterable[RecordedEvent], turn: Turn | None = None) -> int | None:
        """See `Session.apply`."""
        if self._is_broken:
            raise BufferIsBroken(
                f"Rows of {self._projection.name} were left half-way by an error. Begin a new session."
            )
        self._is_broken = True
        wanted = [event for event in events if event.type in self._handlers]
        with self._asking.at_work(self._projection, self._keys.using) as self._here:
            border = self._apply(wanted, turn or Turn())
        self._is_broken = False
        return border

    def flush(self) -> None:
        """See `Session.flush`."""
        if self._is_broken:
            raise BufferIsBroken(
                f"Rows of {self._projection.name} were left half-way by an error. Begin a new session."
            )
        self._is_broken = True
        with self._asking.at_work(self._projection, self._keys.using):
            self._write()
        self._is_broken = False

    # --- applying ----------------------------------------------------------------------------

    def _apply(self, events: Sequence[RecordedEvent], turn: Turn) -> int | None:
        done = 0 if self._asking.needs_single else self._apply_some(events, turn)
        # Which rows an event changes, or what they are, may depend on statements at those before it.
        while done < len(events) and not _is_over_before(events, done, turn):
            self._apply_some([events[done]], turn)
            done += 1
        return events[done - 1].position if done < len(events) else None

    def _apply_some(self, events: Sequence[RecordedEvent], turn: Turn) -> int:
        """Apply events; return how many: fewer if it turns out that each has to be looked at by itself."""
        if not events:
            return 0
        read = self._read_keys(events)
        if read is None:
            return 0
        self._prepare()
        asking, handle = self._asking, self._handle
        done = 0
        for some in self._sizes.slices(read):
            self._load(set(chain.from_iterable(read[some])).difference(self._entries))
            for event, keys in zip(events[some], read[some], strict=True):
                if monotonic() >= turn.look_at and _is_over_before(events, done, turn):
                    self._forget_some()
                    return done
                for key in keys:
                    if handle(event, key):
                        self._begin_anew(keys)
                done += 1
                if asking.needs_single and done < len(events):
                    return done
            self._sizes.note_events(events[some])
            self._forget_some()
        return done

    def _read_keys(self, events: Sequence[RecordedEvent]) -> list[Sequence[Key]] | None:
        """Return for each event which rows it changes; ``None``: that has to be asked one by one."""
        readers = {type: self._keys.reader(type) for type in self._handlers}
        found = []
        asking, is_ahead = self._asking, len(events) > 1
        asking.is_reading_keys = True
        for event in events:
            try:
                found.append(readers[event.type](event))
            except Exception as error:
                if asking.needs_single and is_ahead:
                    break  # It may not fail when its turn comes.
                raise HandlerFailed(self._projection.name, event, error) from error
        asking.is_reading_keys = False
        asking.raise_if_failed()
        return None if asking.needs_single and is_ahead else found

    def _prepare(self) -> None:
        """Look at the table, now that it is known which fields identify a row."""
        if self._has_table:
            return
        self._has_table = True
        self._table = self._keys.table
        self._instances = self._table.instances
        self._changes = Changes(self._table.layout)
        self._is_watched = self._instances.is_making_watched
        self._related = self._changes.related
        self._sizes = Sizes(self._table.layout)
        uniqueness = self._table.layout.uniqueness
        if uniqueness.sets or uniqueness.opaque:
            self._claims = Claims(uniqueness.sets)

    # --- reading ---------------------------------------------------------------------------

    def _load(self, keys: Collection[Key]) -> None:
        """Load rows that are not in memory."""
        if self._written is not None:
            keys = [key for key in keys if key in self._written]
        if not keys:
            return
        asked = set(keys)
        loaded = []
        for key, row, values in self._table.load(keys, lock=self._is_shared):
            if key not in asked and not self._is_shared:
                self._suspects |= asked
            self._entries[key] = Entry(key, row, values, values)
            loaded.append(values)
            if self._claims is not None:
                if self._claims.are_taken(key, values):
                    # Somebody in memory has a value that is still this row's: let the database say so.
                    self._write()
                self._claims.add(key, values, are_stored=True)
        self._sizes.note_loaded(loaded)

    def _load_unsure(self) -> None:
        """Write the rows of which only the database knows how they look, and load them again."""
        self._write()
        unsure = [key for key, one in self._entries.items() if not one.is_sure]
        for one in unsure:
            del self._entries[one]
        if self._written is not None:
            self._written.update(unsure)
        self._load(unsure)

    def _forget_some(self) -> None:
        if len(self._entries) > self._max_rows or self._sizes.are_large(self._entries.values()):
            self._forget()

    def _begin_anew(self, keys: Sequence[Key]) -> None:
        """Load rows again, of which the author may have changed any, or made, past this buffer."""
        self._asking.has_written = False
        self._forget()
        self._written = None
        self._load(keys)

    def _forget(self) -> None:
        self._write()
        if self._written is not None:
            self._written.update(self._entries)
        self._entries.clear()
        self._sizes.total = 0
        if self._claims is not None:
            self._claims.clear()

    # --- handling ---------------------------------------------------------------------------

    def _handle(self, event: RecordedEvent, key: Key) -> bool:
        """Call a handler; return whether it may have changed rows past this buffer."""
        entry = self._entries.get(key)
        if entry is not None and not entry.is_sure:
            self._load_unsure()
            entry = self._entries.get(key)
        is_new = entry is None or entry.row is None
        others: Collection[str] = ()
        if entry is None or entry.row is None:
            if entry is None and key in self._suspects:
                self._refuse_alike(event, key)
            row = self._instances.new(key)
            before = self._instances.new_values(key)
        else:
            row = entry.row
            before = entry.values
            if self._is_watched:
                entry.row = row = self._instances.made_anew(row)
        if self._is_watched:
            others = frozenset(row.__dict__)
        here, asking = self._here, self._asking
        handler = self._handlers[event.type]
        if self._related is not None:
            row._state.fields_cache = self._related
        try:
            here.row = row
            result = handler(self._projection, row, event)
            here.row = None
            if asking.has_asked:
                asking.raise_if_failed()
                if entry is not None and entry.row is not None:
                    before = entry.values  # To be written may have given it its primary key.
            if result is None:
                found = self._changes.of(row, key, before, is_new, others)
            elif result is DELETE:
                found = None
            else:
                refuse_result(handler, result, has_row=True)
        except Exception as error:
            here.row = None
            raise HandlerFailed(self._projection.name, event, error) from error
        if found is None:
            if result is DELETE and entry is not None:
                self._delete(entry)
            return asking.has_written
        values, changed, is_sure = found
        if self._claims is not None:
            self._claim(key, values, changed, is_new)
        if entry is None:
            entry = Entry(key, row, values, None)
        if is_new:
            # Also one that has been there: writing others, while claiming, forgets deleted rows.
            self._entries[key] = entry
        entry.row = row
        entry.values = values
        entry.is_sure = is_sure
        self._note(entry)
        if self._claims is not None and self._claims.must_write:
            self._claims.must_write = False
            self._write()
        return asking.has_written

    def _refuse_alike(self, event: RecordedEvent, key: Key) -> None:
        """Refuse a key that has no row, but one that the database takes for its own."""
        self._suspects.discard(key)
        for other, _, _ in self._table.load([key]):
            if other != key:
                alike = keys_alike(self._projection.name, self._table.layout, [key, other])
                raise HandlerFailed(self._projection.name, event, alike) from alike

    def _note(self, entry: Entry) -> None:
        """Note that a row has to be written."""
        if not entry.is_dirty:
            entry.is_dirty = True
            self._dirty.append(entry)

    def _delete(self, entry: Entry) -> None:
        key = entry.key
        if self._claims is not None and self._claims.gives_up_unwritten(key, None):
            self._write()
        if entry.stored is not None:
            entry.is_doomed = True
        entry.row = entry.stored = None
        entry.is_sure = True
        if self._claims is not None:
            self._claims.remove(key)
        if entry.is_doomed:
            self._note(entry)
        else:
            # The database never sees it; should it come back, it is a new row.
            self._entries.pop(key, None)

    def _claim(self, key: Key, values: Values, changed: list[int], is_new: bool) -> None:
        """Note the unique values of a row; write the others first if one of them has or had these."""
        claims = self._claims
        assert claims is not None
        opaque = self._table.layout.uniqueness.opaque
        if is_new or not opaque.isdisjoint(changed):
            claims.must_write = bool(opaque)
        must_write_before = claims.must_write or claims.gives_up_unwritten(key, values)
        if must_write_before or claims.are_taken(key, values):
            self._write()
            claims.must_write = claims.must_write or claims.are_taken(key, values)
        claims.add(key, values)

    # --- writing ---------------------------------------------------------------------------

    def _write(self) -> None:
        """Write what has changed: deletions first, for the unique values that they free."""
        dirty, self._dirty = self._dirty, []
        doomed = [entry.key for entry in dirty if entry.is_doomed]
        left = [entry for entry in dirty if entry.row is not None]
        new = [entry for entry in left if entry.stored is None]
        old = [
            entry
            for entry in left
            if entry.stored is not None and (not entry.is_sure or entry.values != entry.stored)
        ]
        if doomed:
            self._table.delete(doomed)
        if old:
            self._table.update(old)
        if new:
            self._insert(new)
        for entry in dirty:
            if entry.row is None and entry.is_doomed:
                del self._entries[entry.key]
            entry.is_dirty = entry.is_doomed = False
            entry.stored = entry.values if entry.row is not None else None
        if self._claims is not None:
            self._claims.settle([entry.key for entry in dirty])

    def _insert(self, new: Sequence[Entry]) -> None:
        if self._written is None:
            self._table.insert(new)
            return
        # No rows were looked for, so none was found that the database takes for that of another key.
        try:
            with transaction.atomic(using=self._keys.using):
                self._table.insert(new)
        except IntegrityError as error:
            layout = self._table.layout
            alike = alike_among(self._entries)
            if alike and not tells_keys_apart(layout):
                raise keys_alike(self._projection.name, layout, alike) from error
            raise


def _is_over_before(events: Sequence[RecordedEvent], index: int, turn: Turn) -> bool:
    """Whether a turn is over, where those of one position end."""
    return index > 0 and events[index].position != events[index - 1].position and turn.is_over()
