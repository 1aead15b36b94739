"""Which partition of a projection an event is in."""

from __future__ import annotations

from zlib import crc32

from rill_django.domain.records import RecordedEvent
from rill_django.projections.handlers import handlers_at_work
from rill_django.projections.projection import Projection


def keys_of(projection: Projection, event: RecordedEvent) -> tuple[str, ...]:
    """Return what an event is about, as the projection says: its author's functions are at work."""
    if projection.keys_are_plain:
        return projection.keys_of(event)
    with handlers_at_work(projection):
        return projection.keys_of(event)


def partition_for(projection: Projection, event: RecordedEvent, partitions: int) -> int:
    """Return the partition that an event is in: that of its first key. Those without any share one."""
    is_plain = projection.keys_are_plain
    keys = projection.keys_of(event) if is_plain else keys_of(projection, event)
    return partition_of(keys[0] if keys else "", partitions)


def partition_of(key: str, partitions: int) -> int:
    """Return the partition that a key belongs to, the same in every process and for ever."""
    return crc32(key.encode()) % partitions
