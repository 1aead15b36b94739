"""The first checkpoint of an inline projection."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rill_django.domain.records import StoredEvent
from rill_django.domain.registry import current_registry
from rill_django.projections.batches import stored_types
from rill_django.projections.checkpoint import INLINE, Checkpoint
from rill_django.projections.inline.locks import share
from rill_django.projections.projection import Projection
from rill_django.projections.registry import current_projections
from rill_django.projections.trust import NEVER_BUILT, has_rows
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore
from rill_django.store.tables import Event

logger = logging.getLogger("rill_django.projections")


def make_checkpoint(
    projection: Projection, store: EventStore, appended: Sequence[StoredEvent] = ()
) -> None:
    """Note that commands keep the rows up to date from now on, if nobody else has.

    If there are events that the rows do not have, or rows of which nobody knows the origin, it notes that
    they are not built yet.

    Args:
        projection: an inline one.
        store: the log.
        appended: events of this transaction, which are about to be applied.
    """
    are_strange = has_rows(projection)
    is_whole = not are_strange and not _has_others(projection, store, appended)
    checkpoint, is_made = Checkpoint.objects.using(projection.using).get_or_create(
        name=projection.name,
        partition=0,
        is_beside=False,
        defaults={"partitions": INLINE, "version": projection.version if is_whole else NEVER_BUILT},
    )
    if is_made and not checkpoint.version:
        logger.warning(
            "the inline projection %s %s. Commands do not touch it, and its constraints reject nothing, "
            "before it is built, by `manage.py run_projections` or `rebuild_projections`",
            projection.name,
            "has rows, and nobody knows which events made them"
            if are_strange
            else "has no rows of the events that are in the log already",
        )


def have_built_anew(store: DjangoEventStore) -> list[str]:
    """Note that rows of inline projections do not have all events of the log; return their names.

    For whoever appends events without a command: in the same transaction, behind the events. Whoever is
    just building rows either has these events, or is done, and then its rows are noted as lacking them.
    Until the rows are built, commands do not touch them.

    Args:
        store: the log.
    """
    using = store.using
    connection = connections[using]
    assert isinstance(connection, BaseDatabaseWrapper)
    manager = Checkpoint.objects.using(using)
    known = manager.filter(is_beside=False, partitions=INLINE).values_list("name", flat=True)
    here = {
        one.name for one in (made() for made in current_projections().inline) if one.using == using
    }
    names = sorted(here.union(known))
    if not names:
        return []
    versions = share(connection, names)
    if missing := [name for name in names if name not in versions]:
        for name in missing:
            # The first command may be about to make it, and would find nothing from before.
            manager.get_or_create(
                name=name,
                partition=0,
                is_beside=False,
                defaults={"partitions": INLINE, "version": 0},
            )
        versions = share(connection, names)
    built = [name for name, version in versions.items() if version]
    if built:
        manager.filter(name__in=built, is_beside=False, partitions=INLINE).update(version=0)
    return names


def are_kept_by_commands(projection: Projection) -> bool:
    """Whether commands keep the rows of an inline projection up to date: once they are built."""
    rows = Checkpoint.objects.using(projection.using).filter(name=projection.name)
    found: bool = rows.filter(is_beside=False, partitions=INLINE, version__gt=0).exists()
    return found


def _has_others(
    projection: Projection, store: EventStore, appended: Collection[StoredEvent]
) -> bool:
    """Whether the log has events for the projection besides those that were appended just now."""
    assert isinstance(store, DjangoEventStore)
    types = stored_types([projection], current_registry())
    events = Event.objects.using(store.using)
    if types is not None:
        events = events.filter(type__in=types)
        appended = [one for one in appended if one.type in types]
    return len(events.order_by()[: len(appended) + 1].values_list("pk")) > len(appended)
