"""System checks: what would fail in production is said at start-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.projections.projection import Projection
from rill_django.projections.registry import current_projections
from rill_django.projections.rows import RowProjection
from rill_django.store.orm import DjangoEventStore, dialect_of


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.E001``: the database cannot hold the log. Warnings: see the functions below."""
    using = DjangoEventStore().using
    connection = connections[using]
    try:
        dialect_of(connection)
    except ImproperlyConfigured as error:
        hint = "Route the models of rill_django to another database."
        return [Error(str(error), hint=hint, id="rill.E001")]
    return [*_check_sqlite(connection), *_check_other_database(using)]


def _check_sqlite(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """``rill.W001``: SQLite is set up to fail where it could wait."""
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor != "sqlite" or options.get("transaction_mode") == "IMMEDIATE":
        return []
    return [
        Warning(
            "SQLite begins transactions without the write lock, so that two at once may fail with "
            "'database is locked' instead of waiting for each other.",
            hint="Set OPTIONS['transaction_mode'] = 'IMMEDIATE' for this database.",
            id="rill.W001",
        )
    ]


def _check_other_database(using: str) -> list[CheckMessage]:
    """``rill.W002``: commands and other writes are not one transaction."""
    if using == DEFAULT_DB_ALIAS:
        return []
    return [
        Warning(
            f"The log is in the database {using!r}. What a command stores, and what you write to "
            f"{DEFAULT_DB_ALIAS!r} beside it, are two transactions: one may be there without the other.",
            hint="Write such things by projections, and silence this check (SILENCED_SYSTEM_CHECKS).",
            id="rill.W002",
        )
    ]


@register(Tags.models)
def check_projections(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Check every projection; see the functions below."""
    messages: list[CheckMessage] = []
    for projection in current_projections().named():
        messages += _check_databases(projection)
        if isinstance(projection, RowProjection):
            messages += _check_key(projection)
    return messages


def _check_databases(projection: Projection) -> list[CheckMessage]:
    """``rill.E002``: a projection's models are in several databases, so one transaction cannot hold them."""
    aliases = {router.db_for_write(model) for model in projection.models}
    if len(aliases) == 1:
        return []
    return [
        Error(
            f"The models of the projection {projection.name} are in several databases: "
            f"{', '.join(sorted(aliases))}.",
            hint="Make a projection for each database.",
            obj=type(projection),
            id="rill.E002",
        )
    ]


def _check_key(projection: RowProjection) -> list[CheckMessage]:
    """``rill.E003``: no such field. ``rill.E004``: the key's fields are not unique together."""
    if callable(projection.key):
        return []
    names = (projection.key,) if isinstance(projection.key, str) else projection.key
    meta = projection.model._meta
    for name in names:
        try:
            meta.get_field(name)
        except FieldDoesNotExist:
            return [
                Error(
                    f"The key of the projection {projection.name} names the field {name!r}, which "
                    f"{meta.label} does not have.",
                    hint="Name a field that event and model share, or use a function as key.",
                    obj=type(projection),
                    id="rill.E003",
                )
            ]
    if frozenset(names) not in _unique_sets(projection.model):
        return [
            Error(
                f"The key of the projection {projection.name}, {', '.join(names)}, is not unique in "
                f"{meta.label}.",
                hint="Make it the primary key, or add a UniqueConstraint of these fields.",
                obj=type(projection),
                id="rill.E004",
            )
        ]
    return []


def _unique_sets(model: type[models.Model]) -> set[frozenset[str]]:
    meta = model._meta
    sets = {frozenset((field.name,)) for field in meta.fields if field.unique}
    sets |= {frozenset(names) for names in meta.unique_together}
    sets |= {
        frozenset(one.fields)
        for one in meta.constraints
        if isinstance(one, models.UniqueConstraint) and one.condition is None
    }
    return sets
