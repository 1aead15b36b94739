"""Which rows an event changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from operator import attrgetter, is_
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models

from rill_django.domain.errors import RillError
from rill_django.domain.records import RESERVED_EVENT_FIELDS, RecordedEvent
from rill_django.projections.handler_marks import KeyOptions
from rill_django.projections.rows.columns import Column
from rill_django.projections.rows.entries import Key
from rill_django.projections.rows.settling import UNSURE
from rill_django.projections.rows.tables import RowTable
from rill_django.projections.rows.uniqueness import concrete_of, primary_key_of

KEYS_REMEMBERED = 10_000

Read = Callable[[RecordedEvent], Sequence[Key]]


class WrongKey(RillError):
    """A projection's key does not say which row it is: a field is missing, or has no value."""


class RowKeys:
    """Reads from events which rows they change.

    All keys of a projection name the same fields, or one row might be in memory twice.

    Args:
        projection: its name, for messages.
        model: the model of the rows.
        using: alias of the database.
        options: the projection's ``key`` or ``keys``.
        by_type: those of single handlers, by event type name.
    """

    def __init__(
        self,
        projection: str,
        model: type[models.Model],
        using: str,
        options: KeyOptions,
        by_type: Mapping[str, KeyOptions],
    ) -> None:
        self._projection = projection
        self._model = model
        self._using = using
        self._columns: list[Column] = []
        self._names: tuple[str, ...] = ()
        if options.names:
            self._identify(options.names)
        # Events of one row are often near to each other. By type: 1 and True would be equal.
        self._settled = lru_cache(maxsize=KEYS_REMEMBERED, typed=True)(self._settle_all)
        self._read_default = self._reader(options)
        self._readers = {type: self._reader(one) for type, one in by_type.items()}

    @property
    def using(self) -> str:
        """Alias of the database of the rows."""
        return self._using

    @property
    def names(self) -> tuple[str, ...]:
        """``attname`` of the fields that identify a row; none before it is known, by reading a key."""
        return self._names

    @cached_property
    def table(self) -> RowTable:
        """The table of the rows; to be asked for once a key has been read, which tells its fields."""
        return RowTable.of(self._model, self._using, self._names)

    def reader(self, type: str) -> Read:
        """Return what reads the keys of an event of this type.

        It raises `WrongKey` if it is not a key, or whatever a key function raises.
        """
        return self._readers.get(type, self._read_default)

    def text(self, key: Key) -> str:
        """Return a key as a text, the same in every process."""
        return str(key[0]) if len(key) == 1 else json.dumps([str(one) for one in key])

    def _reader(self, options: KeyOptions) -> Read:
        if options.key is not None and not callable(options.key):
            return self._reader_of_names(options.names)
        if options.key is not None:
            key_of = options.key
            return lambda event: self._several((key_of(event),))
        if callable(options.keys):
            keys_of = options.keys
            return lambda event: self._several(keys_of(event))
        getters = [_getter(name) for name in options.keys or ()]
        return lambda event: self._several([get(event) for get in getters])

    def _reader_of_names(self, names: Sequence[str]) -> Read:
        if len(names) > 1:
            return self._reader_of_several(names)
        get = _getter(names[0])
        if not self._columns:
            return lambda event: self._several((get(event),))
        if len(self._columns) > 1:
            return lambda event: self._several((get(event),))
        (column,) = self._columns
        settle = column.settle

        def read(event: RecordedEvent) -> Sequence[Key]:
            value = get(event)
            if value is None:
                return ()
            settled = UNSURE if isinstance(value, Enum) else settle(value)
            return ((self._settle(column, value) if settled is UNSURE else settled,),)

        return read

    def _reader_of_several(self, names: Sequence[str]) -> Read:
        get_all = _getter_of_all(names)
        if len(names) != len(self._columns):
            return lambda event: (self._key(get_all(event)),)
        settled = self._settled

        def read(event: RecordedEvent) -> Sequence[Key]:
            found = get_all(event)
            try:
                return (settled(*found),)
            except TypeError:  # Something that has no hash, or is no key at all.
                return (self._settle_all(*found),)

        return read

    def _several(self, found: Collection[Any] | None) -> Sequence[Key]:
        if isinstance(found, (str, bytes, Mapping)):
            raise WrongKey(
                f"{self._projection}: keys= has to give a list of keys; it gave {found!r}."
            )
        return list(dict.fromkeys(self._key(one) for one in found or () if one is not None))

    def _key(self, found: Any) -> Key:
        if isinstance(found, Mapping):
            values = self._values_of(found)
        else:
            if not self._columns:
                self._identify([field.name for field in primary_key_of(self._model)])
            values = found if len(self._columns) > 1 else (found,)
            if not isinstance(values, (tuple, list)) or len(values) != len(self._columns):
                raise WrongKey(
                    f"{self._projection}: a key has to have {len(self._columns)} values, for "
                    f"{', '.join(self._names)}; it is {found!r}."
                )
        try:
            return self._settled(*values)
        except TypeError:  # Something that has no hash, or is no key at all.
            return self._settle_all(*values)

    def _settle_all(self, *values: Any) -> Key:
        settled = tuple([one.settle(it) for one, it in zip(self._columns, values, strict=True)])
        if all(map(is_, settled, values)) and None not in settled:
            return settled  # As most are; for the others it has to be found out what they are.
        return tuple(map(self._settle, self._columns, values))

    def _values_of(self, found: Mapping[str, Any]) -> Sequence[Any]:
        if not self._columns:
            self._identify(list(found))
            return list(found.values())
        if tuple(found) == self._names:
            return list(found.values())
        pk = [field.attname for field in primary_key_of(self._model)]
        by_attname = {
            self._field(name).attname if name != "pk" or len(pk) > 1 else pk[0]: value
            for name, value in found.items()
        }
        if set(by_attname) != set(self._names):
            raise WrongKey(
                f"{self._projection}: all keys have to name the same fields of "
                f"{self._model._meta.label}. One names {', '.join(found)}; before, it was "
                f"{', '.join(self._names)}."
            )
        return [by_attname[name] for name in self._names]

    def _settle(self, column: Column, value: Any) -> Any:
        """Return a value as the model gives it when it is loaded, so that both compare equal."""
        if isinstance(value, Enum):
            value = value.value
        if value is None:
            raise WrongKey(
                f"{self._projection}: the field {column.name} of the key has no value. "
                "For events that change no row, use a function that returns None."
            )
        settled = column.settle(value)
        return column.field.to_python(value) if settled is UNSURE else settled

    def _identify(self, names: Sequence[str]) -> None:
        """Take these fields as those that identify a row."""
        if tuple(names) == ("pk",):
            names = [field.name for field in primary_key_of(self._model)]
        fields = [self._field(name) for name in names]
        if frozenset(field.name for field in fields) not in unique_sets(self._model):
            raise WrongKey(
                f"{self._projection}: {', '.join(names)} is not unique in {self._model._meta.label}, "
                "so it does not say which row an event changes. Add a UniqueConstraint."
            )
        connection: Any = connections[self._using]
        self._columns = [Column(field, connection) for field in fields]
        self._names = tuple(field.attname for field in fields)

    def _field(self, name: str) -> models.Field[Any, Any]:
        meta = self._model._meta
        try:
            field = meta.pk if name == "pk" else meta.get_field(name)
        except FieldDoesNotExist:
            raise WrongKey(
                f"{self._projection}: the key names the field {name!r}, which {meta.label} does not have."
            ) from None
        assert isinstance(field, models.Field)
        return field


def _getter(name: str) -> Callable[[RecordedEvent], Any]:
    if name in RESERVED_EVENT_FIELDS:
        return attrgetter(name)
    get = attrgetter(name)

    def read(event: RecordedEvent) -> Any:
        try:
            return get(event.message)  # Faster than by way of the event's own `__getattr__`.
        except AttributeError:
            return getattr(event, name)

    return read


def _getter_of_all(names: Sequence[str]) -> Callable[[RecordedEvent], tuple[Any, ...]]:
    getters = [_getter(name) for name in names]
    if not RESERVED_EVENT_FIELDS.isdisjoint(names):
        return lambda event: tuple(get(event) for get in getters)
    get_all: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)

    def read(event: RecordedEvent) -> tuple[Any, ...]:
        try:
            return get_all(event.message)
        except AttributeError:
            return tuple(get(event) for get in getters)

    return read


def unique_sets(model: type[models.Model]) -> set[frozenset[str]]:
    """Return the sets of field names that are unique together, whatever the other fields are."""
    meta = concrete_of(model)._meta
    sets = {frozenset((field.name,)) for field in meta.fields if field.unique}
    sets.add(frozenset(field.name for field in primary_key_of(model)))
    sets |= {frozenset(names) for names in meta.unique_together}
    sets |= {
        frozenset(one.fields)
        for one in meta.constraints
        if isinstance(one, models.UniqueConstraint) and one.condition is None and one.fields
    }
    return sets
