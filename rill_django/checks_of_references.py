"""System checks of foreign keys to the rows of projections, and from them to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import models

from rill_django.projections.projection import Projection

Owners = Mapping[type[models.Model], Projection]
"""The projections that write to models."""

_LEAVES_ROWS_ALONE = frozenset({models.DO_NOTHING, models.PROTECT, models.RESTRICT})


def check_references_to(
    model: type[models.Model], owner: Projection, owners: Owners
) -> list[CheckMessage]:
    """``rill.W003``: others point to disposable rows. ``rill.W004``: so does another projection."""
    messages: list[CheckMessage] = []
    for relation in model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel):
            continue
        field = relation.field
        # The table of a many-to-many field belongs to whom the field belongs.
        pointing = owners.get(field.model._meta.auto_created or field.model)
        if pointing is owner or not field.db_constraint:
            continue
        loose = (
            "Use db_constraint=False and on_delete=DO_NOTHING, or keep the key in a plain field."
        )
        if pointing is None:
            messages.append(
                Warning(
                    f"{field} points to {model._meta.label}, whose rows the projection {owner.name} "
                    "deletes and makes anew.",
                    hint=loose,
                    obj=field,
                    id="rill.W003",
                )
            )
        else:
            messages.append(
                Warning(
                    f"{field} of the projection {pointing.name} points to {model._meta.label} of the "
                    f"projection {owner.name}, which may not have come as far.",
                    hint=loose,
                    obj=field,
                    id="rill.W004",
                )
            )
    return messages


def check_references_of(
    model: type[models.Model], owner: Projection, owners: Owners
) -> list[CheckMessage]:
    """``rill.W006``: disposable rows refer to rows that nobody makes anew when they are deleted."""
    known = {one._meta.concrete_model for one in owners}
    return [
        Warning(
            f"{field} of the projection {owner.name} points to {to._meta.label}, which no projection "
            f"makes anew. When such a row is deleted, {what}.",
            hint=hint,
            obj=field,
            id="rill.W006",
        )
        for field, to, what, hint in _references_of(model)
        if to._meta.concrete_model not in known
    ]


def _references_of(model: type[models.Model]) -> Iterator[tuple[Any, Any, str, str]]:
    """Yield the foreign keys that a deletion elsewhere matters to: with target, consequence, and cure."""
    keys: list[Any] = [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and not field.remote_field.parent_link
    ]
    for key in keys:
        consequences = []
        if key.remote_field.on_delete not in _LEAVES_ROWS_ALONE:
            consequences.append("the projection's rows change without an event")
        if key.db_constraint:
            consequences.append("a rebuild fails, since its events still name it")
        if consequences and _is_known(key.related_model):
            yield (
                key,
                key.related_model,
                " and ".join(consequences),
                "Use db_constraint=False and on_delete=DO_NOTHING, or keep the key in a plain field.",
            )
    many_to_many: list[Any] = list(model._meta.many_to_many)
    for many in many_to_many:
        through = many.remote_field.through
        if _is_known(through) and through._meta.auto_created and _is_known(many.related_model):
            yield (
                many,
                many.related_model,
                "the projection's rows change without an event and a rebuild fails, since its events still "
                "name it",
                "Make a model of your own for the relation, whose foreign key has db_constraint=False and "
                "on_delete=DO_NOTHING, or keep the keys in a plain field.",
            )


def _is_known(model: Any) -> bool:
    """Whether there is such a model; Django says so if not."""
    return not isinstance(model, str)
