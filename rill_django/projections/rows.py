"""`RowProjection`: one row per key, loaded and written in bulk, changed as ordinary instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Final, cast

from django.db import connections, models

from rill_django.domain.errors import DefinitionError
from rill_django.domain.records import RecordedEvent
from rill_django.projections.projection import Projection

Row = Any
Key = tuple[Any, ...]

DELETE: Final = object()
"""What a handler returns to have its row deleted."""

KEYS_PER_QUERY = 200
"""Rows with a key of several fields that are asked for at once."""


class RowProjection(Projection):
    """A projection with one row per key.

    A handler gets the row and the event, and changes the row like any model instance; a row that is not
    there yet is a new instance with the model's defaults. All rows of a batch are loaded in one query and
    written back together. A handler that returns `DELETE` has the row deleted::

        class Balances(RowProjection):
            model = Balance
            key = "number"

            @on(Account.withdrawn)
            def withdrawn(self, row, event):
                row.balance -= event.amount

    Attributes:
        model: the model of the rows; nobody else may write to it.
        key: which row an event changes: the name of a field that event and model share, a tuple of such
            names, or a function of the event that returns the value of the primary key, or a dict of
            field values. ``None`` from the function: this event changes no row.
    """

    model: ClassVar[type[models.Model]]
    key: ClassVar[Any]

    @classmethod
    def check_definition(cls) -> None:
        """See `Projection.check_definition`."""
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not hasattr(cls, "model"):
            raise DefinitionError(f"{where} has no model. Write e.g. model = Balance")
        if not hasattr(cls, "key"):
            raise DefinitionError(
                f"{where} does not say which row an event changes. Write e.g. key = 'number', "
                "key = ('origin', 'date'), or key = lambda event: event.number"
            )
        cls.models = (cls.model,)
        # A plain function in a class body would be bound to the instance like a method.
        key = vars(cls).get("key")
        if callable(key):
            cls.key = staticmethod(key)

    @cached_property
    def _shared_fields(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else cast("tuple[str, ...]", self.key)

    def _key_fields(self, event: RecordedEvent) -> Mapping[str, Any] | None:
        """Return the model's fields and values that say which row the event changes."""
        if not callable(self.key):
            return {name: getattr(event, name) for name in self._shared_fields}
        value = self.key(event)
        if value is None or isinstance(value, Mapping):
            return value
        return {"pk": value}

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        """See `Projection.apply`."""
        touched: list[tuple[RecordedEvent, Key]] = []
        names: tuple[str, ...] = ()
        for event in events:
            if event.type not in self.handlers:
                continue
            with self.handling(event):
                fields = self._key_fields(event)
                if fields is None:
                    continue
                names = tuple(fields)
                touched.append((event, self._normalised(fields)))
        if not touched:
            return
        rows = _Rows(self.model, self.using, names, {key for _, key in touched})
        for event, key in touched:
            with self.handling(event):
                row = rows.take(key)
                if self.handlers[event.type](self, row, event) is DELETE:
                    rows.drop(key)
        rows.write()

    def _normalised(self, fields: Mapping[str, Any]) -> Key:
        """Return key values as the model gives them when it is loaded, so that they compare equal."""
        return tuple(
            _field(self.model, name).to_python(value.value if isinstance(value, Enum) else value)
            for name, value in fields.items()
        )


class _Rows:
    """The rows that one batch touches, by key."""

    def __init__(
        self, model: type[models.Model], using: str, names: tuple[str, ...], keys: set[Key]
    ) -> None:
        self._model = model
        self._using = using
        self._names = tuple(_field(model, name).attname for name in names)
        self._rows: dict[Key, Row] = {}
        self._dropped: list[Row] = []
        for row in self._load(keys):
            self._rows[tuple(getattr(row, name) for name in self._names)] = row

    def _load(self, keys: set[Key]) -> Iterable[Row]:
        rows = self._model._base_manager.using(self._using)
        if len(self._names) == 1:
            yield from rows.filter(**{f"{self._names[0]}__in": [key[0] for key in keys]})
            return
        left = iter(keys)
        while some := list(islice(left, KEYS_PER_QUERY)):
            conditions = models.Q()
            for key in some:
                conditions |= models.Q(**dict(zip(self._names, key, strict=True)))
            yield from rows.filter(conditions)

    def take(self, key: Key) -> Row:
        """Return the row of a key, or a new one."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._model(**dict(zip(self._names, key, strict=True)))
        return row

    def drop(self, key: Key) -> None:
        """Have the row deleted."""
        row = self._rows.pop(key)
        if not row._state.adding:
            self._dropped.append(row)

    def write(self) -> None:
        """Write all rows back: deletions first, for the unique values that they free."""
        rows = self._model._base_manager.using(self._using)
        if self._dropped:
            rows.filter(pk__in=[row.pk for row in self._dropped]).delete()
        old = [row for row in self._rows.values() if not row._state.adding]
        new = [row for row in self._rows.values() if row._state.adding]
        changeable = [
            field.name
            for field in self._model._meta.concrete_fields
            if not field.primary_key and not field.generated
        ]
        if old and changeable:
            features = connections[self._using].features
            targeted = features.supports_update_conflicts_with_target
            rows.bulk_create(
                old,
                update_conflicts=True,
                update_fields=changeable,
                unique_fields=["pk"] if targeted else None,
            )
        if new:
            rows.bulk_create(new)


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return cast("models.Field[Any, Any]", field)
