"""Emptying the tables of a projection, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections, models, transaction
from django.db.models import QuerySet

from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.tables import Model, models_of

KEYS_AT_ONCE = 500


def clear_tables(projection: Projection) -> None:
    """Delete all rows of the projection's models, and no others.

    The ORM's deletion would take along the rows of whatever refers to them, and tell signal handlers
    of each. Here it is for the database to say whether anything refers to a row that is gone: at the
    end of the transaction, where it can wait; MySQL and MariaDB cannot.

    Raises:
        IntegrityError: a row of another table refers to one of these, maybe only at the commit.
    """
    using = projection.using
    found = models_of(projection)
    with transaction.atomic(using=using):
        if not connections[using].features.can_defer_constraint_checks:
            _loosen(found, using)
        for model in reversed(found):
            elsewhere = list(_parts_elsewhere(model, found, using))
            _rows(model, using)._raw_delete(using)
            for parent, keys in elsewhere:
                for start in range(0, len(keys), KEYS_AT_ONCE):
                    some = keys[start : start + KEYS_AT_ONCE]
                    _rows(parent, using).filter(pk__in=some)._raw_delete(using)


def _rows(model: Model, using: str) -> QuerySet[Any]:
    """Return all rows of a model: its managers may leave some out."""
    return QuerySet(model=model, using=using)


def _loosen(found: Sequence[Model], using: str) -> None:
    """Take back the references that are in the way of any order: to the own table, or in a circle."""
    for number, model in enumerate(found):
        loose = {
            field.attname: None
            for field in model._meta.local_concrete_fields
            if isinstance(field, models.ForeignKey)
            and field.null
            and field.related_model._meta.concrete_model in found[number:]
        }
        if loose:
            _rows(model, using).update(**loose)


def _parts_elsewhere(
    model: Model, found: Sequence[Model], using: str
) -> Iterator[tuple[Model, list[Any]]]:
    """Yield the parents with a part of each row in a table that is not listed; with its keys there."""
    for parent in model._meta.get_parent_list():
        if parent not in found:
            key = parent._meta.pk
            assert key is not None
            yield parent, list(_rows(model, using).values_list(key.name, flat=True))
