"""Whether a checkpoint, and the rows that it speaks of, are of the log that is there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from django.db import models, transaction

from rill_django.domain.errors import RillError
from rill_django.projections.checkpoint import INLINE, Checkpoint
from rill_django.projections.live import live_checkpoints, parts_of, replace_live_checkpoints
from rill_django.projections.projection import Projection
from rill_django.store.protocol import EventStore

logger = logging.getLogger("rill_django.projections")

NEVER_BUILT = 0
"""Version of rows that no release of the code has made."""


class AnotherLog(RillError):
    """The log does not have what a projection has seen of it: it was restored, or is another one."""


def has_rows(projection: Projection) -> bool:
    """Whether any table of the projection has a row, whatever a manager of its model would hide."""
    return any(
        models.QuerySet(model=model, using=projection.using).order_by().exists()
        for model in projection.models
    )


def are_complete(projection: Projection, found: Sequence[Checkpoint]) -> bool:
    """Whether these are all checkpoints of live rows: one for each of as many partitions as they say.

    The first one that is made stands for all, until something has been applied.
    """
    parts = [(one.partition, one.partitions) for one in found]
    whole = [(number, len(found)) for number in range(len(found))]
    if parts == whole or parts == [(0, INLINE)]:
        return True
    is_first = len(found) == 1 and found[0].partition == 0 and not found[0].position
    # One that never moved may also be what is left of several that did.
    return is_first and (found[0].version == NEVER_BUILT or not has_rows(projection))


def begin_anew_if_incomplete(projection: Projection) -> None:
    """Have the rows built anew if one of several checkpoints is lost: nobody knows what it had applied."""
    with transaction.atomic(using=projection.using):
        found = live_checkpoints(projection, lock=True)
        if not found or are_complete(projection, found):
            return
        replace_live_checkpoints(projection, position=0, version=NEVER_BUILT)
    logger.warning(
        "projection %s has lost the checkpoint of one of its partitions. Its rows are built anew beside.",
        projection.name,
    )


def first_version(projection: Projection) -> int:
    """Return the version that a first checkpoint has: 0 if there are rows that nobody knows the origin of."""
    if not has_rows(projection):
        return projection.version
    logger.warning(
        "projection %s has rows and no checkpoint: it was renamed, or its checkpoint was lost. To apply the "
        "log to them would count everything twice, so they are built anew beside. To go on with the rows of "
        "a projection that was renamed, give it its old name: name = '…'",
        projection.name,
    )
    return NEVER_BUILT


def trust_rows(projection: Projection) -> None:
    """Make the first checkpoints of a projection that has rows, so that events are applied to these rows.

    For tests that make the rows themselves, before there are events.
    """
    if not has_rows(projection):
        return
    for partition, partitions in parts_of(projection):
        Checkpoint.objects.using(projection.using).get_or_create(
            name=projection.name,
            partition=partition,
            is_beside=False,
            defaults={"partitions": partitions, "version": projection.version},
        )


def refuse_another_log(checkpoints: Iterable[Checkpoint], store: EventStore) -> None:
    """Raise `AnotherLog` if one of the checkpoints is not of this log."""
    for reason in reasons_for_distrust(checkpoints, store).values():
        raise AnotherLog(reason)


def reasons_for_distrust(checkpoints: Iterable[Checkpoint], store: EventStore) -> Mapping[int, str]:
    """Return why checkpoints are not of this log, by their primary keys; those that are, are left out.

    What the log says at their positions is asked in one query. A checkpoint of an earlier release, which
    did not note what it has seen, is trusted if its position is in the log. One at 0 is, if it has seen
    nothing: who sets a position back by hand would have the log applied once more to the same rows.
    """
    moved = [one for one in checkpoints if (one.position or one.seen) and not one.is_inline]
    found = store.identities_at({one.position for one in moved})
    return {
        one.pk: _reason(one, found.get(one.position), store)
        for one in moved
        if found.get(one.position) is None or (one.seen and found.get(one.position) != one.seen)
    }


def _reason(checkpoint: Checkpoint, found: str | None, store: EventStore) -> str:
    if checkpoint.position <= 0:
        return (
            f"{checkpoint.name} is at position {checkpoint.position:,}, and its rows have the events up to "
            f"{checkpoint.seen or 'another one'}: somebody has set the checkpoint back. To apply the log to "
            "these rows would count everything twice. "
            f"Make them anew: manage.py rebuild_projections {checkpoint.name}"
        )
    seen = f" ({checkpoint.seen})" if checkpoint.seen else ""
    # A look at the state waits for nobody, so not the head.
    now = (
        f"holds {found} now"
        if found is not None
        else f"is not in the log, which ends at {store.sequence():,}"
    )
    return (
        f"{checkpoint.name} has applied the log up to position {checkpoint.position:,}{seen}. This position "
        f"{now}: the log was restored from an older copy, or is another one. "
        f"Make the rows anew: manage.py rebuild_projections {checkpoint.name}"
    )


def is_in_log(checkpoint: Checkpoint, store: EventStore) -> bool:
    """Whether the log has an event at the checkpoint's position."""
    return checkpoint.position == 0 or checkpoint.position in store.identities_at(
        [checkpoint.position]
    )


def seen_at(store: EventStore, position: int) -> str:
    """Return ``stream@version`` of the event at a position; empty: there is none."""
    return store.identities_at([position]).get(position, "") if position else ""
