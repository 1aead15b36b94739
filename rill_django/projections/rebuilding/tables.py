"""Which tables belong to a projection."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models

from rill_django.projections.projection import Projection

Model = type[models.Model]


def models_of(projection: Projection) -> list[Model]:
    """Return the models with a table of their own, those that others refer to first."""
    found: dict[Model, None] = {}
    for model in projection.models:
        concrete = model._meta.concrete_model or model
        found[concrete] = None
        for field in concrete._meta.local_many_to_many:
            through = field.remote_field.through
            if through is not None and through._meta.auto_created:
                found[through] = None
    return _parents_first(list(found))


def _parents_first(found: list[Model]) -> list[Model]:
    ordered: dict[Model, None] = {}
    begun: set[Model] = set()

    def put(model: Model) -> None:
        if model in begun:
            return
        begun.add(model)
        for parent in _referred_to(model):
            if parent in found:
                put(parent)
        ordered[model] = None

    for model in found:
        put(model)
    return list(ordered)


def _referred_to(model: Model) -> Iterator[Model]:
    for field in model._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            parent = field.related_model
            assert isinstance(parent, type)
            yield parent._meta.concrete_model or parent


def foreign_parents(found: list[Model]) -> list[str]:
    """Return reasons against: models whose rows are partly in the table of a model that is not listed."""
    return [
        f"{model._meta.label} inherits from {parent._meta.label}, which is not in the projection's "
        "models, but has part of each row in its table: list it."
        for model in found
        for parent in model._meta.get_parent_list()
        if parent not in found
    ]
