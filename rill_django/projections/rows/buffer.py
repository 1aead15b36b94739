"""Rows in memory: loaded once, changed by handlers, written when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from rill_django.domain.errors import RillError
from rill_django.domain.records import RecordedEvent
from rill_django.projections.projection import HandlerFailed
from rill_django.projections.rows.columns import UNSURE, Column, Frozen
from rill_django.projections.rows.keys import RowKeys
from rill_django.projections.rows.tables import Instance, Key, Values, Written
from rill_django.projections.sessions import Session

DELETE: Final = object()
"""What a handler returns to have its row deleted."""

Handler = Callable[..., Any]


class KeyChanged(RillError):
    """A handler has given its row another key."""


class BufferIsBroken(RillError, RuntimeError):
    """Something failed, so that the rows in memory are not those of the database."""


class _Entry:
    """A row, as handlers see it and as it was.

    Attributes:
        row: the instance; ``None``: there is none.
        values: of all columns, after the last handler.
        stored: what the database has; ``None`` if it has to be inserted.
        is_doomed: what the database has is to be deleted first.
        is_sure: the instance looks as if it had just been loaded.
    """

    __slots__ = ("is_doomed", "is_sure", "row", "stored", "values")

    def __init__(self, row: Instance, values: Values, stored: Values | None) -> None:
        self.row = row
        self.values = values
        self.stored = stored
        self.is_doomed = False
        self.is_sure = True


class RowBuffer(Session):
    """Rows of a `RowProjection` that stay in memory. See `Session` for how to use it.

    The outcome is that of one event at a time, wherever ``flush`` is called: rows look as if they had
    been stored and loaded after every event (see `columns`); and a row that takes a unique value
    which another one in memory has or had is written after it.

    Args:
        projection: what handlers are called with.
        handlers: by event type name.
        keys: which rows an event changes, and where they are.
        max_rows: rows in memory, beyond which they are written and forgotten after an ``apply``.
        is_empty: the table has no rows, so that none has to be looked for.
    """

    def __init__(
        self,
        projection: Any,
        handlers: Mapping[str, Handler],
        keys: RowKeys,
        *,
        max_rows: int,
        is_empty: bool,
    ) -> None:
        self._projection = projection
        self._handlers = handlers
        self._keys = keys
        self._max_rows = max_rows
        self._written = _Seen() if is_empty else None
        self._entries: dict[Key, _Entry] = {}
        self._dirty: dict[Key, _Entry] = {}
        self._is_broken = False
        self._has_table = False
        self._claims: _Claims | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, events: Iterable[RecordedEvent]) -> None:
        """See `Session.apply`."""
        if self._is_broken:
            raise BufferIsBroken(
                f"Rows of {self._projection.name} were left half-way by an error. Begin a new session."
            )
        self._is_broken = True
        work = self._work(events)
        if work:
            self._prepare()
            self._load({key for _, key, _ in work})
            for handler, key, event in work:
                self._handle(handler, key, event)
            self._forget_some()
        self._is_broken = False

    def flush(self) -> None:
        """See `Session.flush`."""
        if self._is_broken:
            raise BufferIsBroken(
                f"Rows of {self._projection.name} were left half-way by an error. Begin a new session."
            )
        self._is_broken = True
        self._write()
        self._is_broken = False

    def _work(self, events: Iterable[RecordedEvent]) -> list[tuple[Handler, Key, RecordedEvent]]:
        handlers = {type: (one, self._keys.reader(type)) for type, one in self._handlers.items()}
        work = []
        for event in events:
            found = handlers.get(event.type)
            if found is None:
                continue
            handler, read = found
            try:
                work.extend([(handler, key, event) for key in read(event)])
            except Exception as error:
                raise HandlerFailed(self._projection.name, event, error) from error
        return work

    def _prepare(self) -> None:
        """Look at the table, now that it is known which fields identify a row."""
        if self._has_table:
            return
        self._has_table = True
        table = self._table = self._keys.table
        self._values_of = table.values_of
        self._columns = table.columns
        self._stamped = frozenset(table.stamped_indexes)
        self._numbers = range(len(table.columns))
        self._are_watched = [column.is_mutable for column in table.columns]
        self._special = self._stamped.union(
            index for index, is_watched in enumerate(self._are_watched) if is_watched
        )
        self._settlers = [column.settle for column in table.columns]
        if table.unique_sets or table.opaque_indexes:
            self._claims = _Claims(table.unique_sets)

    # --- reading ---------------------------------------------------------------------------

    def _load(self, keys: Iterable[Key]) -> None:
        missing = [key for key in keys if key not in self._entries]
        if self._written is not None:
            missing = [key for key in missing if key in self._written]
        if not missing:
            return
        for key, row, values in self._table.load(missing):
            entry = self._entries[key] = _Entry(row, values, values)
            if self._claims is not None:
                if self._claims.are_taken(key, values):
                    # Somebody in memory has a value that is still this row's: let the database say so.
                    self._write()
                self._claims.add(key, entry.values, are_stored=True)

    def _settled_entry(self, key: Key) -> _Entry | None:
        """Return a row that looks as if it had just been loaded."""
        entry = self._entries.get(key)
        if entry is None or entry.is_sure:
            return entry
        self._write()
        unsure = [key for key, one in self._entries.items() if not one.is_sure]
        for one in unsure:
            del self._entries[one]
        if self._written is not None:
            self._written.update(unsure)
        self._load(unsure)
        return self._entries.get(key)

    def _forget_some(self) -> None:
        if len(self._entries) <= self._max_rows:
            return
        self._write()
        if self._written is not None:
            self._written.update(self._entries)
        self._entries.clear()
        if self._claims is not None:
            self._claims.clear()

    # --- handling ---------------------------------------------------------------------------

    def _handle(self, handler: Handler, key: Key, event: RecordedEvent) -> None:
        entry = self._settled_entry(key)
        is_new = entry is None or entry.row is None
        if entry is None or entry.row is None:
            row = self._table.new(key)
            before = self._table.new_values(key)
        else:
            row = entry.row
            before = entry.values
        attributes = row.__dict__
        width = len(attributes)
        try:
            result = handler(self._projection, row, event)
        except Exception as error:
            raise HandlerFailed(self._projection.name, event, error) from error
        if result is DELETE:
            if entry is not None:
                self._delete(key, entry)
            return
        if len(attributes) != width:
            self._prune(attributes)
        if self._table.has_relations and row._state.__dict__.get("fields_cache"):
            row._state.fields_cache.clear()
        try:
            after = self._values_of(attributes)
        except KeyError as error:
            raise HandlerFailed(self._projection.name, event, error) from error
        touched = [
            index
            for index, old, value, is_watched in zip(
                self._numbers, before, after, self._are_watched, strict=True
            )
            if old is not value or is_watched
        ]
        if is_new:
            state = row._state
            state.adding = False
            state.db = self._table.using
        elif not touched:
            return
        values, changed, is_sure = self._settle(attributes, touched, before, after)
        if not changed and not is_new:
            return
        if changed and not self._table.fixed_indexes.isdisjoint(changed):
            self._refuse_other_key(key, values, changed, is_new, event)
        if self._stamped:
            is_sure = self._stamp(row, values, is_new) and is_sure
        if self._table.has_generated:
            is_sure = False
        now = tuple(values)
        if self._claims is not None:
            self._claim(key, now, changed, is_new)
        if entry is None:
            entry = _Entry(row, now, None)
        # Writing others, while claiming, may have forgotten a deleted row that comes back now.
        self._entries[key] = entry
        entry.row = row
        entry.values = now
        entry.is_sure = is_sure
        self._dirty[key] = entry
        if self._claims is not None and self._claims.must_write:
            self._claims.must_write = False
            self._write()

    def _settle(
        self, attributes: dict[str, Any], touched: list[int], before: Values, after: Values
    ) -> tuple[list[Any], list[int], bool]:
        """Bring attributes to the form in which they will be loaded.

        Returns:
            A snapshot of all of them, which of them have changed, and whether all are sure.
        """
        values = list(after)
        changed: list[int] = []
        is_sure = True
        for index in touched:
            old, value = before[index], after[index]
            if index not in self._special:
                found = live = self._settlers[index](value)
            elif index in self._stamped:
                # Not for handlers to set.
                if old is not UNSURE:
                    attributes[self._columns[index].name] = values[index] = old
                continue
            elif self._columns[index].is_json:
                found = _settle_json(self._columns[index], old, value)
                live = found.live if isinstance(found, Frozen) else found
            elif self._columns[index].is_untouched(old, value):
                continue
            else:
                found = live = UNSURE
            if found is UNSURE:
                is_sure = False
                changed.append(index)
                continue
            values[index] = found
            if live is not value:
                attributes[self._columns[index].name] = live
            if old is UNSURE or found != old:
                changed.append(index)
        return values, changed, is_sure

    def _prune(self, attributes: dict[str, Any]) -> None:
        """Forget what handlers have noted on an instance: it would not be loaded again."""
        for name in set(attributes).difference(self._table.all_names, ("_state",)):
            del attributes[name]

    def _refuse_other_key(
        self, key: Key, values: list[Any], changed: list[int], is_new: bool, event: RecordedEvent
    ) -> None:
        table = self._table
        now = tuple(values[index] for index in table.key_indexes)
        if now == key and (
            is_new or table.fixed_indexes.intersection(changed) <= set(table.key_indexes)
        ):
            return
        names = ", ".join(table.names[index] for index in sorted(table.fixed_indexes))
        error = KeyChanged(
            f"The handler has changed {names} of the row {self._keys.text(key)!r}, which say which row "
            "it is. Delete it, and create the other one: use keys= to get both."
        )
        raise HandlerFailed(self._projection.name, event, error) from error

    def _stamp(self, row: Instance, values: list[Any], is_new: bool) -> bool:
        """Set the fields that tell when the row was made or changed; return whether they are sure."""
        is_sure = True
        for index in self._stamped:
            column = self._columns[index]
            given = column.field.pre_save(row, is_new)
            found = column.settle(given)
            is_sure = is_sure and found is not UNSURE
            values[index] = given if found is UNSURE else found
            row.__dict__[column.name] = values[index]
        return is_sure

    def _delete(self, key: Key, entry: _Entry) -> None:
        if self._claims is not None and self._claims.gives_up_unwritten(key, None):
            self._write()
        if entry.stored is not None:
            entry.is_doomed = True
        entry.row = entry.stored = None
        entry.is_sure = True
        if self._claims is not None:
            self._claims.remove(key)
        if entry.is_doomed:
            self._dirty[key] = entry
        else:
            self._dirty.pop(key, None)
            del self._entries[key]

    def _claim(self, key: Key, values: Values, changed: list[int], is_new: bool) -> None:
        """Note the unique values of a row; write the others first if one of them has or had these."""
        claims = self._claims
        assert claims is not None
        if is_new or not self._table.opaque_indexes.isdisjoint(changed):
            claims.must_write = bool(self._table.opaque_indexes)
        must_write_before = claims.must_write or claims.gives_up_unwritten(key, values)
        if must_write_before or claims.are_taken(key, values):
            self._write()
            claims.must_write = claims.must_write or claims.are_taken(key, values)
        claims.add(key, values)

    # --- writing ---------------------------------------------------------------------------

    def _write(self) -> None:
        """Write what has changed: deletions first, for the unique values that they free."""
        dirty, self._dirty = self._dirty, {}
        doomed = [key for key, entry in dirty.items() if entry.is_doomed]
        new: list[Written] = []
        old: list[Written] = []
        for entry in dirty.values():
            if entry.row is None:
                continue
            written = Written(entry.values, entry.stored, entry.is_sure, entry.row)
            if entry.stored is None:
                new.append(written)
            elif not entry.is_sure or entry.values != entry.stored:
                old.append(written)
        if doomed:
            self._table.delete(doomed)
        if old:
            self._table.update(old)
        if new:
            self._table.insert(new)
        for key, entry in dirty.items():
            entry.is_doomed = False
            if entry.row is None:
                self._entries.pop(key, None)
                continue
            if entry.stored is None and self._table.has_automatic_key and entry.is_sure:
                entry.values = self._table.values_with_primary_key(entry.values, entry.row)
            entry.stored = entry.values
        if self._claims is not None:
            self._claims.settle(dirty)


class _Claims:
    """Which row has or had which unique values."""

    def __init__(self, sets: Sequence[tuple[int, ...]]) -> None:
        self._sets = sets
        self._owners: dict[tuple[int, Values], Key] = {}
        self._of: dict[Key, set[tuple[int, Values]]] = {}
        self._now: dict[Key, set[tuple[int, Values]]] = {}
        self._unwritten: dict[Key, set[tuple[int, Values]]] = {}
        self.must_write = False

    def _claims_of(self, values: Values) -> set[tuple[int, Values]]:
        claims = set()
        for number, indexes in enumerate(self._sets):
            one = tuple(values[index] for index in indexes)
            if None not in one:
                claims.add((number, one))
        return claims

    def are_taken(self, key: Key, values: Values) -> bool:
        """Whether another row in memory has these values, or still has them in the database."""
        return any(self._owners.get(one, key) != key for one in self._claims_of(values))

    def gives_up_unwritten(self, key: Key, values: Values | None) -> bool:
        """Whether the row leaves values that the database has not seen yet.

        A row that is not in memory may have the same ones. If they are never written, nobody notices.
        """
        unwritten = self._unwritten.get(key)
        if not unwritten:
            return False
        return values is None or not unwritten <= self._claims_of(values)

    def add(self, key: Key, values: Values, *, are_stored: bool = False) -> None:
        """Note a row's values; those that it had stay noted until they are written."""
        claims = self._claims_of(values)
        if not are_stored:
            self._unwritten.setdefault(key, set()).update(claims - self._now.get(key, set()))
        self._now[key] = claims
        self._of.setdefault(key, set()).update(claims)
        for one in claims:
            self._owners[one] = key

    def remove(self, key: Key) -> None:
        """Forget a row that is deleted: deletions are written first."""
        self._now.pop(key, None)
        self._unwritten.pop(key, None)
        self._release(self._of.pop(key, set()), key)

    def settle(self, keys: Iterable[Key]) -> None:
        """Forget what these rows had before: they are written."""
        for key in keys:
            self._unwritten.pop(key, None)
            now = self._now.get(key, set())
            self._release(self._of.get(key, set()) - now, key)
            if now:
                self._of[key] = set(now)

    def _release(self, claims: Iterable[tuple[int, Values]], key: Key) -> None:
        for one in claims:
            if self._owners.get(one) == key:
                del self._owners[one]

    def clear(self) -> None:
        """Forget all."""
        self._owners.clear()
        self._of.clear()
        self._now.clear()
        self._unwritten.clear()


class _Seen:
    """Keys that may have been written: a Bloom filter, two megabytes for any number of keys."""

    _BITS = 2**24

    def __init__(self) -> None:
        self._bits = bytearray(self._BITS // 8)

    def update(self, keys: Iterable[Key]) -> None:
        """Note keys."""
        bits = self._bits
        for key in keys:
            place = hash(key) % self._BITS
            bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, key: Key) -> bool:
        place = hash(key) % self._BITS
        return bool(self._bits[place >> 3] & (1 << (place & 7)))


def _settle_json(column: Column, old: Any, value: Any) -> Any:
    """Return a JSON value as a `Frozen`: the old one, if nothing has changed."""
    if isinstance(old, Frozen) and old.live is value and old.is_unchanged:
        return old
    found = column.settle(value)
    return found if found is UNSURE or found is None else Frozen(found)
