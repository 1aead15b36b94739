"""How the events of one projection are divided among processes that build its rows together."""

from __future__ import annotations

from functools import cached_property

from rill_django.domain.registry import current_registry
from rill_django.projections.batches import Batch
from rill_django.projections.partitioning import partition_for
from rill_django.projections.projection import Projection
from rill_django.projections.rebuilding.exact_keys import keeps_keys_apart
from rill_django.projections.rebuilding.progress import read_readable
from rill_django.projections.rows import RowProjection
from rill_django.store.protocol import EventStore


class Shares:
    """All events of a key are in one share: the division that ``partitions`` allows, if not the same.

    Where every stream has rows of its own, shares are those of streams, which the database tells apart.
    Otherwise every process has to decode all events to know their keys.

    Args:
        projection: whose rows are built; with ``partitions`` above 1.
        of: how many shares there are.
    """

    def __init__(self, projection: Projection, of: int) -> None:
        self._projection = projection
        self._of = of

    @cached_property
    def are_streams(self) -> bool:
        """Whether events are divided by stream, and not by key."""
        return has_rows_by_stream(self._projection)

    @property
    def division(self) -> str:
        """What another process has to agree with to go on with a share; nothing if there is only one."""
        by = "hashed streams" if self.are_streams else "keys"
        return f"{self._of} shares of {by}" * (self._of > 1)

    def read(self, number: int, store: EventStore, position: int, head: int, size: int) -> Batch:
        """Read the next events of a share; see `read_readable`."""
        if self.are_streams:
            share = (number, self._of)
            return read_readable(store, self._projection, position, head, size, share=share)
        batch = read_readable(store, self._projection, position, head, size)
        return batch.of(lambda one: partition_for(self._projection, one, self._of) == number)


def has_rows_by_stream(projection: Projection) -> bool:
    """Whether events of different streams never change the same row, as far as can be told for sure."""
    if not isinstance(projection, RowProjection):
        return type(projection).keys_of is Projection.keys_of
    registry = current_registry()
    if type(projection).keys_of is not RowProjection.keys_of or registry.upcasters:
        return False
    events = [registry.events[name] for name in projection.handlers]
    if len({one.aggregate for one in events}) > 1:
        return False
    names = projection.key_options().names
    return (
        sorted(names) == sorted(events[0].keys)
        # A handler's own key says by its order which field is which.
        and all(one.names == names for one in projection.key_overrides.values())
        and keeps_keys_apart(projection.model, names, events[0])
    )
