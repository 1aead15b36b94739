"""System check of the keys of projections: whether the database tells apart what Python does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.registry import current_projections
from rill_django.projections.rows import RowProjection
from rill_django.projections.rows.alike import cure_for, texts_taken_for_equal
from rill_django.projections.rows.columns import target_of
from rill_django.projections.rows.uniqueness import primary_key_of


@register(Tags.database)
def check_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.W007``: the database takes keys for equal that Python takes for different."""
    messages: list[CheckMessage] = []
    for projection in current_projections().named():
        if not isinstance(projection, RowProjection) or projection.using not in (databases or ()):
            continue
        connection = connections[projection.using]
        assert isinstance(connection, BaseDatabaseWrapper)
        for field in _texts_of_key(projection):
            alike = list(texts_taken_for_equal(connection, field))
            if alike:
                messages.append(_warning(projection, field, alike, connection))
    return messages


def _warning(
    projection: RowProjection,
    field: models.Field[Any, Any],
    alike: Sequence[str],
    connection: BaseDatabaseWrapper,
) -> CheckMessage:
    examples = " and ".join(map(repr, ["a", *alike]))
    do_what = "reject the command" if projection.inline else "stop the projection"
    return Warning(
        f"{field} is part of the key of the projection {projection.name}, and there "
        f"{connection.display_name} takes {examples} for equal. The second of two such keys would {do_what}.",
        hint=f"{cure_for(connection)} Where keys are in one form, silence this check "
        "(SILENCED_SYSTEM_CHECKS).",
        obj=type(projection),
        id="rill.W007",
    )


def _texts_of_key(projection: RowProjection) -> Iterator[models.Field[Any, Any]]:
    """Yield the fields of the key that are texts; if a function gives it, those of the primary key."""
    meta = projection.model._meta
    try:
        fields = [meta.get_field(name) for name in projection.key_options().names]
    except FieldDoesNotExist:
        return  # Another check says so.
    for field in fields or primary_key_of(projection.model):
        if isinstance(field, models.Field) and isinstance(
            target_of(field), (models.CharField, models.TextField)
        ):
            yield field
