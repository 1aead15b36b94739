"""Loading and writing rows: through the ORM, on any database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db import connections, models
from django.db.backends.base.features import BaseDatabaseFeatures

from rill_django.domain.errors import RillError
from rill_django.projections.rows.entries import Entry, Instance, Key, Values
from rill_django.projections.rows.frozen import Frozen
from rill_django.projections.rows.instances import Instances
from rill_django.projections.rows.layout import Layout, getter

T = TypeVar("T")

KEYS_PER_QUERY = 200
"""Rows with a key of several fields that are asked for at once: SQLite takes 1,000 terms."""
ROWS_PER_QUERY = 2_000
"""Rows that are written or asked for at once: a statement must fit into the database's longest one."""


class RowsVanished(RillError):
    """Rows of a projection have been deleted by somebody else."""


class RowTable:
    """The table of a model whose rows are identified by some of its fields.

    Args:
        layout: its columns.

    Attributes:
        instances: makes instances of the model.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.instances = Instances(layout)

    @classmethod
    def of(cls, model: type[models.Model], using: str, key_names: Sequence[str]) -> RowTable:
        """Return what is best for the database."""
        layout = Layout(model, using, key_names)
        if connections[using].vendor == "postgresql":
            from rill_django.projections.rows.postgresql import PostgreSQLTable

            return PostgreSQLTable(layout)
        return cls(layout)

    # --- loading ---------------------------------------------------------------------------

    def load(
        self, keys: Iterable[Key], *, lock: bool = False
    ) -> Iterator[tuple[Key, Instance, Values]]:
        """Find the rows of these keys; those that are not there are left out.

        Args:
            keys: of the rows.
            lock: keep others from changing them until the transaction ends.
        """
        layout = self.layout
        key_of = getter(layout.key_indexes)
        json_indexes = [index for index, column in enumerate(layout.columns) if column.is_json]
        if lock:
            # In the same order for everybody, so that nobody waits in a circle.
            keys = sorted(keys, key=repr)
        for rows in self.matching(keys):
            if lock:
                rows = self._locked(rows)
            for loaded in rows.values_list(*layout.all_names):
                row = self.instances.loaded(loaded)
                values = layout.values_of(row.__dict__)
                key = key_of(values)
                if json_indexes:
                    values = _frozen(values, json_indexes)
                yield key, row, values

    def _locked(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        no_key = self._features.has_select_for_no_key_update
        ordered = rows.order_by(*self.layout.key_names)
        locked: models.QuerySet[Any] = ordered.select_for_update(no_key=no_key)
        return locked

    @property
    def _rows(self) -> models.QuerySet[Any]:
        # Not by a manager of the model's: it may hide rows, which are there all the same.
        return models.QuerySet(model=self.layout.model, using=self.layout.using)

    @property
    def _features(self) -> BaseDatabaseFeatures:
        return connections[self.layout.using].features

    def matching(self, keys: Iterable[Key]) -> Iterator[models.QuerySet[Any]]:
        """Return queries for the rows of these keys."""
        names = self.layout.key_names
        if len(names) == 1:
            size = min(self._features.max_query_params or ROWS_PER_QUERY, ROWS_PER_QUERY)
            for some in chunks(keys, size):
                yield self._rows.filter(**{f"{names[0]}__in": [key for (key,) in some]})
            return
        for some in chunks(keys, KEYS_PER_QUERY):
            conditions = models.Q()
            for key in some:
                conditions |= models.Q(**dict(zip(names, key, strict=True)))
            yield self._rows.filter(conditions)

    # --- writing ---------------------------------------------------------------------------

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete the rows of these keys."""
        for rows in self.matching(keys):
            rows.delete()

    def insert(self, rows: Sequence[Entry]) -> None:
        """Write rows that are new, in this order; note the keys that the database gives them."""
        made = [self.instances.to_write(one.values) for one in rows]
        self._rows.bulk_create(made, batch_size=ROWS_PER_QUERY)
        if not self.layout.has_automatic_key:
            return
        (index,) = self.layout.primary_key_indexes
        if any(instance.pk is None for instance in made):
            # MySQL tells the key of the first one only.
            key_of = getter(self.layout.key_indexes)
            keys = [key_of(one.values) for one in rows]
            given = {key: values[index] for key, _, values in self.load(keys)}
            pks = [given.get(key) for key in keys]
        else:
            pks = [instance.pk for instance in made]
        for one, pk in zip(rows, pks, strict=True):
            one.row.__dict__[self.layout.names[index]] = pk
            one.values = (*one.values[:index], pk, *one.values[index + 1 :])

    def update(self, rows: Sequence[Entry]) -> None:
        """Write rows that have changed."""
        fields = [column.field.name for column in self.layout.columns]
        names = [fields[index] for index in self.changed_indexes(rows)]
        made = [self.instances.to_write(one.values) for one in rows]
        has_target = self._features.supports_update_conflicts_with_target
        if not has_target and self.layout.uniqueness.sets:
            # MySQL would take any unique value for the row's own, and change another row.
            self._rows.bulk_update(made, names, batch_size=KEYS_PER_QUERY)
            return
        self._rows.bulk_create(
            made,
            batch_size=ROWS_PER_QUERY,
            update_conflicts=True,
            update_fields=names,
            unique_fields=[fields[index] for index in self.layout.key_indexes]
            if has_target
            else None,
        )

    def changed_indexes(self, rows: Sequence[Entry]) -> list[int]:
        """Return the columns in which any of the rows differs from what is stored."""
        layout = self.layout
        free = set(range(len(layout.names))) - layout.fixed_indexes - layout.written_once
        if not all(one.is_sure for one in rows):
            return sorted(free)
        columns = list(zip(*(one.values for one in rows), strict=True))
        stored = list(zip(*(one.stored or () for one in rows), strict=True))
        return [index for index in sorted(free) if columns[index] != stored[index]]


def _frozen(values: Values, indexes: Sequence[int]) -> Values:
    snapshot = list(values)
    for index in indexes:
        if values[index] is not None:
            snapshot[index] = Frozen(values[index])
    return tuple(snapshot)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
