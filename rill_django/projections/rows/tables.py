"""Loading and writing rows: through the ORM, on any database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from django.db.models.signals import post_init, pre_init

from rill_django.domain.errors import RillError
from rill_django.projections.rows.columns import UNSURE, Column, Frozen

Key = tuple[Any, ...]
Values = tuple[Any, ...]
Instance = Any

KEYS_PER_QUERY = 200
"""Rows with a key of several fields that are asked for at once: SQLite takes 1,000 terms."""
ROWS_PER_QUERY = 2_000
"""Rows that are written or asked for at once: a statement must fit into the database's longest one."""


class RowsVanished(RillError):
    """Rows of a projection have been deleted by somebody else."""


class Written(NamedTuple):
    """A row to be written.

    Attributes:
        values: of all columns.
        stored: what the database has; ``None`` for a row that is new.
        is_sure: none of the values has to be asked from the database.
        row: the instance that handlers see.
    """

    values: Values
    stored: Values | None
    is_sure: bool
    row: Instance


class RowTable:
    """The table of a model whose rows are identified by some of its fields.

    Args:
        model: the model.
        using: alias of the database.
        key_names: ``attname`` of the fields that identify a row.
    """

    def __init__(self, model: type[models.Model], using: str, key_names: Sequence[str]) -> None:
        self.model = model
        self.using = using
        meta = model._meta
        connection = connections[using]
        fields = [field for field in meta.concrete_fields if not field.generated]
        self.columns = [Column(field, connection) for field in fields]
        self.names = tuple(column.name for column in self.columns)
        self.key_names = tuple(key_names)
        self.key_indexes = tuple(self.names.index(name) for name in key_names)
        self.fixed_indexes = {*self.key_indexes, *self._indexes_of_primary_key()}
        """Columns of an existing row that must not change."""
        primary_key = primary_key_of(model)
        self.has_automatic_key = (
            len(primary_key) == 1
            and isinstance(primary_key[0], models.AutoField)
            and primary_key[0].attname not in key_names
        )
        self.has_generated = len(fields) < len(meta.concrete_fields)
        self.has_relations = any(field.is_relation for field in fields)
        self.stamped_indexes = tuple(
            index for index, field in enumerate(fields) if _is_stamped(field)
        )
        self.unique_sets, self.opaque_indexes = self._unique_sets(connection.vendor)
        self.all_names = tuple(field.attname for field in meta.concrete_fields)
        get = itemgetter(*self.names)
        self.values_of = get if len(self.names) > 1 else lambda values: (get(values),)

    @classmethod
    def of(cls, model: type[models.Model], using: str, key_names: Sequence[str]) -> RowTable:
        """Return what is best for the database."""
        if connections[using].vendor == "postgresql":
            from rill_django.projections.rows.postgresql import PostgreSQLTable

            return PostgreSQLTable(model, using, key_names)
        return cls(model, using, key_names)

    def _indexes_of_primary_key(self) -> list[int]:
        return [self.names.index(field.attname) for field in primary_key_of(self.model)]

    def _unique_sets(self, vendor: str) -> tuple[list[tuple[int, ...]], frozenset[int]]:
        """Return the sets of columns, besides key and primary key, that must be unique together.

        And the columns of those constraints whose violation cannot be foreseen here.
        """
        meta = self.model._meta
        known = [frozenset(self.key_indexes), frozenset(self._indexes_of_primary_key())]
        found = {frozenset((name,)) for name in self._unique_names()}
        found |= {frozenset(map(self._attname, names)) for names in meta.unique_together}
        opaque: set[str] = set()
        for one in meta.constraints:
            if isinstance(one, models.CheckConstraint):
                continue
            names = [self._attname(name) for name in getattr(one, "fields", ())]
            if (
                isinstance(one, models.UniqueConstraint)
                and not one.expressions
                and one.nulls_distinct is not False
                and set(names) <= set(self.names)
            ):
                found.add(frozenset(names))
            else:
                opaque.update(set(names) & set(self.names) or self.names)
        sets = []
        for names_together in found:
            indexes = tuple(self.names.index(name) for name in names_together)
            if frozenset(indexes) in known:
                continue
            if all(self._compares_exactly(self.columns[index], vendor) for index in indexes):
                sets.append(indexes)
            else:
                opaque.update(names_together)
        return sets, frozenset(self.names.index(name) for name in opaque)

    def _unique_names(self) -> Iterator[str]:
        for field in self.model._meta.concrete_fields:
            if field.unique and not field.generated:
                yield field.attname

    def _attname(self, name: str) -> str:
        return self.model._meta.get_field(name).attname  # type: ignore[union-attr]

    @staticmethod
    def _compares_exactly(column: Column, vendor: str) -> bool:
        """Whether values are equal to the database only if they are equal to Python."""
        if not column.is_known or column.is_json:
            return False
        is_text = isinstance(column.target, (models.CharField, models.TextField))
        return not is_text or (
            vendor != "mysql" and not getattr(column.target, "db_collation", None)
        )

    # --- instances ---------------------------------------------------------------------------

    @cached_property
    def _template(self) -> tuple[dict[str, Any], list[tuple[str, models.Field[Any, Any]]]]:
        """Return the attributes of a new instance, and the fields whose default is made each time."""
        attributes: dict[str, Any] = {}
        made: list[tuple[str, models.Field[Any, Any]]] = []
        for column in self.columns:
            field = column.field
            attributes[column.name] = None
            if (field.has_default() and callable(field.default)) or column.is_mutable:
                made.append((column.name, field))
            else:
                attributes[column.name] = settled(column, literal_default(field))
        return attributes, made

    @cached_property
    def _is_plain(self) -> bool:
        """Whether an instance is its attributes and no more: nobody watches or changes its making."""
        model = self.model
        return (
            model.__init__ is models.Model.__init__
            and model.from_db.__func__ is models.Model.from_db.__func__  # type: ignore[attr-defined]
            and not pre_init.has_listeners(model)
            and not post_init.has_listeners(model)
            and all(column.is_known for column in self.columns)
        )

    def new(self, key: Key) -> Instance:
        """Return an instance with the model's defaults, for a key that has no row."""
        attributes, made = self._template
        if self._is_plain:
            row = self.model.__new__(self.model)
            row._state = ModelState()
            values = row.__dict__
            values.update(attributes)
            for name, field in made:
                values[name] = literal_default(field)
            values.update(zip(self.key_names, key, strict=True))
            return row
        literals = {
            column.name: literal_default(column.field)
            for column in self.columns
            if isinstance(column.field.db_default, models.Value)
        }
        return self.model(**literals | dict(zip(self.key_names, key, strict=True)))

    def new_values(self, key: Key) -> Values:
        """Return the values of a new instance: those that need no look if they are still the same."""
        values = self._new_values.copy()
        for index, value in zip(self.key_indexes, key, strict=True):
            values[index] = value
        return tuple(values)

    @cached_property
    def _new_values(self) -> list[Any]:
        attributes, made = self._template
        made_each_time = {name for name, _ in made}
        values = []
        for column in self.columns:
            value = attributes[column.name]
            is_sure = column.name not in made_each_time and column.settle(value) is value
            values.append(value if is_sure else UNSURE)
        return values

    def _loaded(self, values: Sequence[Any]) -> Instance:
        if not self._is_plain:
            return self.model.from_db(self.using, self.all_names, values)
        row = self.model.__new__(self.model)
        row._state = state = ModelState()
        state.adding = False
        state.db = self.using
        row.__dict__.update(zip(self.all_names, values, strict=True))
        return row

    def _instance(self, written: Written) -> Instance:
        """Return an instance for the ORM to write, which may change it."""
        values = {
            name: value.live if isinstance(value, Frozen) else value
            for name, value in zip(self.names, written.values, strict=True)
        }
        return self.model(**values)

    # --- loading ---------------------------------------------------------------------------

    def load(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Instance, Values]]:
        """Find the rows of these keys; those that are not there are left out."""
        key_of = itemgetter(*self.key_indexes)
        is_single = len(self.key_indexes) == 1
        json_indexes = [index for index, column in enumerate(self.columns) if column.is_json]
        for rows in self.matching(keys):
            for loaded in rows.values_list(*self.all_names):
                row = self._loaded(loaded)
                values: Values = self.values_of(row.__dict__)
                key = (key_of(values),) if is_single else key_of(values)
                if json_indexes:
                    values = self._frozen(row, values, json_indexes)
                yield key, row, values

    def _frozen(self, row: Instance, values: Values, indexes: Sequence[int]) -> Values:
        snapshot = list(values)
        for index in indexes:
            if values[index] is not None:
                snapshot[index] = Frozen(values[index])
        return tuple(snapshot)

    @property
    def _rows(self) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self.model._base_manager.using(self.using)
        return rows

    def matching(self, keys: Iterable[Key]) -> Iterator[models.QuerySet[Any]]:
        """Return queries for the rows of these keys."""
        if len(self.key_names) == 1:
            for some in chunks(keys, self._variables_per_query):
                yield self._rows.filter(**{f"{self.key_names[0]}__in": [key for (key,) in some]})
            return
        for some in chunks(keys, KEYS_PER_QUERY):
            conditions = models.Q()
            for key in some:
                conditions |= models.Q(**dict(zip(self.key_names, key, strict=True)))
            yield self._rows.filter(conditions)

    @property
    def _variables_per_query(self) -> int:
        return min(
            connections[self.using].features.max_query_params or ROWS_PER_QUERY, ROWS_PER_QUERY
        )

    # --- writing ---------------------------------------------------------------------------

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete the rows of these keys."""
        for rows in self.matching(keys):
            rows.delete()

    def insert(self, rows: Sequence[Written]) -> None:
        """Write rows that are new, in this order."""
        made = [self._instance(one) for one in rows]
        self._rows.bulk_create(made, batch_size=ROWS_PER_QUERY)
        if not self.has_automatic_key:
            return
        (index,) = self._indexes_of_primary_key()
        if any(instance.pk is None for instance in made):
            # MySQL tells the key of the first one only.
            keys = [tuple(one.values[i] for i in self.key_indexes) for one in rows]
            given = {key: values[index] for key, _, values in self.load(keys)}
            pks = [given.get(key) for key in keys]
        else:
            pks = [instance.pk for instance in made]
        for one, pk in zip(rows, pks, strict=True):
            one.row.__dict__[self.names[index]] = pk

    def values_with_primary_key(self, values: Values, row: Instance) -> Values:
        """Return values with the key that the database has given to a row, if that is known."""
        (index,) = self._indexes_of_primary_key()
        return (*values[:index], row.__dict__[self.names[index]], *values[index + 1 :])

    def update(self, rows: Sequence[Written]) -> None:
        """Write rows that have changed."""
        indexes = self.changed_indexes(rows)
        names = [self.columns[index].field.name for index in indexes]
        made = [self._instance(one) for one in rows]
        features = connections[self.using].features
        if not features.supports_update_conflicts_with_target and self.unique_sets:
            # MySQL would take any unique value for the row's own, and change another row.
            self._rows.bulk_update(made, names, batch_size=KEYS_PER_QUERY)
            return
        has_target = features.supports_update_conflicts_with_target
        self._rows.bulk_create(
            made,
            batch_size=ROWS_PER_QUERY,
            update_conflicts=True,
            update_fields=names,
            unique_fields=[self.columns[i].field.name for i in self.key_indexes]
            if has_target
            else None,
        )

    @cached_property
    def _indexes_written_once(self) -> set[int]:
        return {
            index
            for index in self.stamped_indexes
            if getattr(self.columns[index].field, "auto_now_add", False)
        }

    def changed_indexes(self, rows: Sequence[Written]) -> list[int]:
        """Return the columns in which any of the rows differs from what is stored."""
        left = set(range(len(self.names))) - self.fixed_indexes - self._indexes_written_once
        if not all(one.is_sure for one in rows):
            return sorted(left)
        changed: set[int] = set()
        for one in rows:
            stored = one.stored or ()
            found = [
                i for i in left if one.values[i] is not stored[i] and one.values[i] != stored[i]
            ]
            if found:
                changed.update(found)
                left.difference_update(found)
                if not left:
                    break
        return sorted(changed)


def _is_stamped(field: models.Field[Any, Any]) -> bool:
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))


def primary_key_of(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Return the fields of a model's primary key: several if it is a composite one."""
    meta = model._meta
    return list(getattr(meta, "pk_fields", None) or [meta.pk])


def literal_default(field: models.Field[Any, Any]) -> Any:
    """Return a field's default; where the database has it, and it is a plain value, that value."""
    value = field.get_default()
    if isinstance(value, DatabaseDefault) and isinstance(field.db_default, models.Value):
        return field.db_default.value
    return value


def settled(column: Column, value: Any) -> Any:
    """Return the value as it will be loaded, or itself if that is not known."""
    found = column.settle(value)
    return value if found is UNSURE else found


def chunks(keys: Iterable[Key], size: int) -> Iterator[list[Key]]:
    """Cut keys into lists of at most ``size``."""
    left = iter(keys)
    while some := list(islice(left, size)):
        yield some
