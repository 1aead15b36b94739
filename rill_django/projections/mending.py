"""Taking up a projection that stands still, and events that were parked, exactly where they are."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from rill_django.domain.codec import decode_events
from rill_django.domain.errors import RillError, UnreadableEvent
from rill_django.domain.records import RecordedEvent
from rill_django.domain.registry import current_registry
from rill_django.domain.tracebacks import shortened_text
from rill_django.projections.checkpoint import Checkpoint, State
from rill_django.projections.held import ParkedEvent, SkippedEvent
from rill_django.projections.live import live_checkpoints
from rill_django.projections.partitioning import keys_of, partition_for
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.bookmark import stopped_beside
from rill_django.projections.trust import AnotherLog, refuse_another_log
from rill_django.store.orm import DjangoEventStore
from rill_django.store.protocol import EventStore
from rill_django.store.trouble import trouble_of


class NothingToSkip(RillError, LookupError):
    """The projection neither stands still at that event, nor is it parked."""


class Retried(NamedTuple):
    """What became of a retry.

    Attributes:
        resumed: partitions that stood still, and that a worker takes up again; one more if rows of a new
            version could not be built.
        applied: parked events that are applied now.
        still_parked: those that are not.
    """

    resumed: int
    applied: int
    still_parked: int


def retry(projection: Projection, *, store: EventStore | None = None) -> Retried:
    """Have a worker take up what stands still, and apply the parked events, in order.

    A parked event that fails again stays, and those behind it. Each is applied in a transaction with
    its removal, so that it takes effect exactly once.

    Raises:
        DatabaseError, HandlerFailed: the database could not do it now. What is not applied stays parked.
        AnotherLog: the log is not the one that the projection has seen; nothing is done.
    """
    store = store or DjangoEventStore()
    using = projection.using
    refuse_another_log(live_checkpoints(projection), store)
    with transaction.atomic(using=using):
        stopped = [
            one for one in live_checkpoints(projection, lock=True) if one.state == State.STOPPED
        ]
        for checkpoint in stopped:
            checkpoint.resume()
        renewed, _ = stopped_beside(projection).delete()
    applied = 0
    blocked: set[str] = set()
    parked = ParkedEvent.objects.using(using).filter(projection=projection.name)
    for pk in parked.order_by("position").values_list("pk", flat=True):
        with transaction.atomic(using=using):
            # Whoever applies events of the projection holds this lock, so none gets in between.
            checkpoints = live_checkpoints(projection, lock=True)
            waiting = parked.filter(pk=pk).first()
            if waiting is None or not blocked.isdisjoint(waiting.keys):
                blocked.update(waiting.keys if waiting else ())
                continue
            error = _apply(projection, waiting, store)
            if error is None:
                waiting.delete()
                for checkpoint in checkpoints:
                    checkpoint.touch()
                applied += 1
            else:
                blocked.update(waiting.keys)
                waiting.error = error
                waiting.save(update_fields=("error",))
    return Retried(len(stopped) + renewed, applied, parked.count())


def skip(projection: Projection, event: str, reason: str) -> SkippedEvent:
    """Decide that the projection will never apply an event that it stands still at or has parked.

    Args:
        event: ``stream@version``.
        reason: why; it is kept.

    Raises:
        NothingToSkip: it does not wait for that event.
        AnotherLog: the log is not the one that the projection has seen.
    """
    using = projection.using
    store = DjangoEventStore()
    refuse_another_log(live_checkpoints(projection), store)
    with transaction.atomic(using=using):
        checkpoints = live_checkpoints(projection, lock=True)
        parked = ParkedEvent.objects.using(using).filter(projection=projection.name, event=event)
        left_out = [(one.position, one.parts, one.error) for one in parked.order_by("position")]
        parked.delete()
        if not left_out:
            # A new version's rows that could not be built are made anew without it.
            checkpoints += stopped_beside(projection)
            at = next((one for one in checkpoints if event and one.failed_event == event), None)
            if at is None:
                raise NothingToSkip(
                    f"{projection.name} neither stands still at {event!r} nor has it parked."
                )
            position = _position_of(event)
            parts = _parts_in(projection, at, position, store)
            left_out = [(position, parts, at.error)]
            if at.is_beside:
                at.delete()
            else:
                at.move_to(position, event)
        manager = SkippedEvent.objects.using(using)
        skipped: list[SkippedEvent] = [
            manager.create(
                projection=projection.name,
                position=position,
                event=event,
                parts=parts,
                error=error,
                reason=reason,
            )
            for position, parts, error in left_out
        ]
        return skipped[0]


def _apply(projection: Projection, waiting: ParkedEvent, store: EventStore) -> str | None:
    """Apply a parked event; return the error's traceback, or ``None``."""
    try:
        with transaction.atomic(using=projection.using):
            session = projection.session()
            session.apply(_read(projection, waiting, store))
            session.flush()
    except Exception as error:
        if trouble_of(error):
            raise  # It says nothing against the event.
        return shortened_text(error)
    return None


def _read(projection: Projection, waiting: ParkedEvent, store: EventStore) -> list[RecordedEvent]:
    """Return the event, or the parts of what it is upcast to that wait.

    Raises:
        AnotherLog: there is another event at its position.
    """
    if store.identities_at([waiting.position]).get(waiting.position) != waiting.event:
        raise AnotherLog(
            f"{waiting.event} is not at position {waiting.position:,} of the log any more, which is another "
            f"one: manage.py rebuild_projections {projection.name}"
        )
    events = _events_at(waiting.position, store)
    if waiting.parts is not None and all(part < len(events) for part in waiting.parts):
        return [events[part] for part in waiting.parts]
    # By an upcaster that is another one now, or parked by a release that did not note the parts.
    keys = set(waiting.keys)
    if not keys or not keys.issubset(key for one in events for key in keys_of(projection, one)):
        return events  # What failed may have been the key.
    return [one for one in events if not keys.isdisjoint(keys_of(projection, one))]


def _events_at(position: int, store: EventStore) -> list[RecordedEvent]:
    stored = store.read().after(position - 1).limit(1).stored()
    return list(decode_events(stored, current_registry()))


def _parts_in(
    projection: Projection, checkpoint: Checkpoint, position: int, store: EventStore
) -> list[int] | None:
    """Return which parts of an event are those of a checkpoint's partition; ``None``: all."""
    if checkpoint.partitions < 2 or checkpoint.is_beside:
        return None
    try:
        events = _events_at(position, store)
    except UnreadableEvent:
        return None
    of = checkpoint.partitions
    return [
        one.upcast_index
        for one in events
        if partition_for(projection, one, of) == checkpoint.partition
    ]


def _position_of(event: str) -> int:
    stream, _, version = event.rpartition("@")
    reader = DjangoEventStore().read().stream(stream).from_version(int(version)).limit(1)
    (stored,) = reader.stored()
    return stored.position or 0
