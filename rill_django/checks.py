"""System checks: what would fail in production is said at start-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.checks_of_references import check_references_of, check_references_to
from rill_django.projections.checkpoint import Checkpoint
from rill_django.projections.inline.violations import declared_names
from rill_django.projections.projection import Projection
from rill_django.projections.registry import current_projections
from rill_django.projections.rows import RowProjection
from rill_django.projections.rows.keys import unique_sets
from rill_django.projections.rows.uniqueness import concrete_of
from rill_django.store.orm import DIALECTS, DjangoEventStore, dialect_of

READ_COMMITTED = "READ COMMITTED"


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.E001``: the database cannot hold the log. ``rill.W002``: it is another one."""
    using = DjangoEventStore().using
    connection = connections[using]
    try:
        dialect_of(connection)
    except ImproperlyConfigured as error:
        if connection.vendor in DIALECTS:
            return []  # That is `check_log_driver`'s.
        hint = "Route the models of rill_django to another database."
        return [Error(str(error), hint=hint, id="rill.E001")]
    return _check_other_database(using)


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
    """Check every projection; see the functions below, and `checks_of_references`."""
    messages: list[CheckMessage] = []
    owners: dict[type[models.Model], Projection] = {}
    projections = current_projections().named()
    for projection in projections:
        messages += _check_databases(projection)
        messages += _check_driver(projection)
        messages += _check_inline(projection)
        for model in projection.models:
            owner = owners.setdefault(concrete_of(model), projection)
            messages += _check_owner(model, owner, projection)
            messages += _check_model(model, projection)
        if isinstance(projection, RowProjection):
            messages += _check_key(projection)
    messages += _check_isolation(projections)
    for model, owner in owners.items():
        messages += check_references_to(model, owner, owners)
        messages += check_references_of(model, owner, owners)
    return messages


@register(Tags.models)
def check_log_driver(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``rill.E013`` for the log's own database."""
    return _refused_driver(DjangoEventStore().using, "The log")


def _check_driver(projection: Projection) -> list[CheckMessage]:
    if projection.using == DjangoEventStore().using:
        return []
    return _refused_driver(projection.using, f"The projection {projection.name}")


def _refused_driver(using: str, what: str) -> list[CheckMessage]:
    """``rill.E013``: Django has found a driver of the database that is too old."""
    if using not in connections:
        return []  # Django says so.
    dialect = DIALECTS.get(connections[using].vendor)
    if dialect is None or not dialect.reason_against_driver:
        return []
    message = f"{what} is kept in the database {using!r}. {dialect.reason_against_driver}"
    return [Error(message, id="rill.E013")]


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


def _check_inline(projection: Projection) -> list[CheckMessage]:
    """``rill.E008``: the log is elsewhere. ``rill.E009``: ``rejections`` names what there is not."""
    messages: list[CheckMessage] = []
    using, of_log = projection.using, DjangoEventStore().using
    if projection.inline and using != of_log:
        messages.append(
            Error(
                f"The inline projection {projection.name} is kept in the database {using!r}, and the log in "
                f"{of_log!r}: they cannot be written in one transaction.",
                hint="Keep both in the same database, or leave the projection to workers: inline = False",
                obj=type(projection),
                id="rill.E008",
            )
        )
    known = {name for model in projection.models for name in declared_names(model)}
    messages += [
        Error(
            f"The rejections of {projection.name} name {name!r}, which is no constraint of its models, no "
            "unique field, and no foreign key.",
            hint=f"Name one of: {', '.join(sorted(map(str, known)))}.",
            obj=type(projection),
            id="rill.E009",
        )
        for name in projection.rejections
        if name not in known
    ]
    return messages


def _check_isolation(projections: Sequence[Projection]) -> list[CheckMessage]:
    """``rill.W005``: commands would not see the rows that others have just made."""
    inline = [one.name for one in projections if one.inline]
    using = DjangoEventStore().using
    level = _isolation_level(connections[using]) if inline else READ_COMMITTED
    if level == READ_COMMITTED:
        return []
    return [
        Warning(
            f"The log's database {using!r} is used at the isolation level {level}, where commands do not see "
            f"what others have committed since their transaction began: those that change the same rows of "
            f"{', '.join(inline)} get in each other's way, and what a rebuild has made may be missed.",
            hint="Take OPTIONS['isolation_level'] out of this database, or set it to READ COMMITTED.",
            id="rill.W005",
        )
    ]


def _isolation_level(connection: BaseDatabaseWrapper) -> str:
    """Return the level that the settings ask for, without connecting."""
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "sqlite" or "isolation_level" not in options:
        return READ_COMMITTED
    level = options["isolation_level"]
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        return str(IsolationLevel(level).name).replace("_", " ")
    return str(level or "of the server").upper()


def _check_owner(
    model: type[models.Model], owner: Projection, projection: Projection
) -> list[CheckMessage]:
    """``rill.E005``: two projections write to a model, so that neither can be rebuilt alone."""
    if owner is projection:
        return []
    return [
        Error(
            f"The projections {owner.name} and {projection.name} both write to {model._meta.label}.",
            hint="Make one projection of them, or give each a model of its own.",
            obj=type(projection),
            id="rill.E005",
        )
    ]


def _check_model(model: type[models.Model], projection: Projection) -> list[CheckMessage]:
    """``rill.E006``: no table for the rows. ``rill.E007``: no checkpoint beside them."""
    meta = model._meta
    reason = None
    if not meta.managed:
        reason = "it is not managed, so that migrations make no table for it"
    elif model not in apps.get_models():
        reason = "it is abstract or swapped, or its app is not in INSTALLED_APPS"
    elif isinstance(projection, RowProjection) and concrete_of(model)._meta.parents:
        reason = (
            "it inherits from another model with a table of its own, which rows in bulk cannot do"
        )
    if reason is not None:
        return [
            Error(
                f"The projection {projection.name} cannot keep its rows in {meta.label}: {reason}.",
                hint="Give it a model of its own, with a table that migrations make.",
                obj=type(projection),
                id="rill.E006",
            )
        ]
    using = router.db_for_write(model)
    # A router that lets neither be there now has something else to decide by, such as the tenant.
    is_there, has_checkpoint = (
        router.allow_migrate_model(using, one) for one in (model, Checkpoint)
    )
    if is_there and not has_checkpoint:
        return [
            Error(
                f"The projection {projection.name} is kept in the database {using!r}, where the "
                "routers do not let its checkpoint be.",
                hint=f"Allow the model rill_django.Checkpoint to be migrated to {using!r}.",
                obj=type(projection),
                id="rill.E007",
            )
        ]
    return []


def _check_key(projection: RowProjection) -> list[CheckMessage]:
    """``rill.E003``: no such field. ``rill.E004``: the key's fields are not unique together."""
    if projection.key is None or callable(projection.key):
        return []
    names = projection.key_options().names
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
    fields = frozenset(meta.get_field(name).name for name in names)
    if fields not in unique_sets(projection.model):
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
