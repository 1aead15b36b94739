"""System checks that look into the log: whether today's code knows what is in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections, router, transaction
from django.db.migrations.loader import MigrationLoader

from rill_django.domain.registry import current_registry
from rill_django.domain.unknown import Unknown
from rill_django.integrity.kinds import unknown_kinds
from rill_django.models import Answer, Checkpoint, Event, Position, Unsequenced
from rill_django.store.migrated import cure
from rill_django.store.orm import DjangoEventStore

T = TypeVar("T")

LOG_TAG = "rill_log"
"""Of the checks that ask the database: `manage.py check --tag rill_log --database default`."""


@register(Tags.database, LOG_TAG)
def check_stored_types(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.E010``: types of events that no code knows. ``rill.E011``: aggregate types, likewise."""
    return [
        Error(
            f"The log has streams of the aggregate type {kind.name!r}, which no code knows: their history "
            f"is out of reach. The first such event is {kind.first}.",
            hint=kind.cure,
            id="rill.E011",
        )
        if kind.what is Unknown.AGGREGATE
        else Error(
            f"The log has events of the type {kind.name!r}, which the code of their aggregate does not know: "
            f"they would be left out. The first is {kind.first}.",
            hint=kind.cure,
            id="rill.E010",
        )
        for kind in _told(databases, lambda store: unknown_kinds(store, current_registry()))
    ]


@register(Tags.database, LOG_TAG)
def check_migrations(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.W011``: tables of the library are not those of this release. No error: `migrate` asks, too."""
    if sys.argv[1:2] == ["migrate"]:
        return []  # It is about to do it.
    return [
        Warning(
            f"The tables of rill_django in the database {using!r} are not those of this release: it has "
            f"migrations that are not applied, from {unapplied[0]} on.",
            hint=cure(using),
            id="rill.W011",
        )
        for using in databases or ()
        if (unapplied := _unapplied_migrations(using))
    ]


def _unapplied_migrations(using: str) -> list[str]:
    if not any(router.allow_migrate_model(using, model) for model in (Event, Checkpoint)):
        return []
    try:
        loader = MigrationLoader(connections[using], ignore_no_migrations=True)
    except DatabaseError:
        return []  # There are other checks for a database that cannot be reached.
    ours = (name for app, name in loader.graph.nodes if app == Event._meta.app_label)
    applied = {name for app, name in loader.applied_migrations if app == Event._meta.app_label}
    return sorted(set(ours) - applied)


@register(Tags.database, LOG_TAG)
def check_protection(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """``rill.W008``: the database does not refuse to change the log. No error: `migrate` may mend it."""
    return [
        Warning(
            f"The log can be changed. {fault}",
            hint="If no migrations are left to apply, run: manage.py protect_events",
            id="rill.W008",
        )
        for fault in _told(databases, DjangoEventStore.faults_of_guards)
    ]


def _told(
    databases: Sequence[str] | None, ask: Callable[[DjangoEventStore], Iterable[T]]
) -> list[T]:
    """Return what the log says, if its database is to be checked and can be asked."""
    store = DjangoEventStore()
    if store.using not in (databases or ()):
        return []
    try:
        with transaction.atomic(using=store.using):
            return list(ask(store))
    except (DatabaseError, ImproperlyConfigured):
        return []  # Before the first migration there is no table; or `rill.E001`, `rill.E013` are the news.


@register(Tags.models)
def check_tables_of_the_log(
    app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """``rill.E012``: the routers keep a table of the log away from it."""
    using = router.db_for_write(Event)
    # A router that keeps them all away now has something else to decide by, such as the tenant.
    is_there = router.allow_migrate_model(using, Event)
    return [
        Error(
            f"The routers send writes of Event to the database {using!r}, and do not let "
            f"{model.__name__} be there. An append writes to both, in one transaction.",
            hint=f"Have the routers treat {model.__name__} as they treat Event.",
            obj=model,
            id="rill.E012",
        )
        for model in (Position, Unsequenced, Answer)
        if (is_there and not router.allow_migrate_model(using, model))
        or router.db_for_write(model) != using
    ]
