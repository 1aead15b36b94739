"""One projection built by several processes at once, each a share of its keys, in the same tables beside.

Only where tables beside can be seen by others (`Place.keeps_progress`), and only what its author has
said to be independent by key, by ``partitions`` above 1.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from threading import Event

from django.db import connections, transaction

from rill_django.projections.batches import Batch
from rill_django.projections.collecting import rare_collections
from rill_django.projections.projection import OnError, Projection
from rill_django.projections.rebuilding.applying import apply_for_a_while
from rill_django.projections.rebuilding.bookmark import Bookmark
from rill_django.projections.rebuilding.dialects import place_for
from rill_django.projections.rebuilding.errors import (
    RebuildInterrupted,
    RowsBesideLost,
    ShareFailed,
    ShareLost,
)
from rill_django.projections.rebuilding.shares import Shares
from rill_django.projections.rebuilding.steps import BATCH_SIZE, STEP_SECONDS, Rebuild
from rill_django.projections.running import Progress
from rill_django.projections.trust import seen_at
from rill_django.projections.turns import Turn
from rill_django.stopping import Stop
from rill_django.store.orm import DjangoEventStore
from rill_django.store.query_log import without_query_log

WORTH_SHARING = 20_000
"""So many events have to be left, or a new process takes longer to start than it helps."""


def can_be_divided(projection: Projection) -> bool:
    """Whether several processes can build the projection's rows together."""
    place = place_for(projection, "beside")
    return (
        place is not None
        and place.keeps_progress
        and projection.partitions > 1
        and projection.on_error is OnError.STOP  # One that parks has to see all events of a key.
        and not connections[projection.using].in_atomic_block
    )


def build_together(
    steps: Rebuild,
    workers: int,
    *,
    batch_size: int | None,
    progress: Progress | None,
    stop: Stop | None,
) -> None:
    """Bring the rows beside near the head of the log; ``steps`` can go on from there alone.

    Args:
        steps: the rebuild, which has begun.
        workers: number of processes.
        batch_size: most events applied in one transaction.
        progress: called with the mean position of all shares.
        stop: asks all of them to stop.

    Raises:
        ShareFailed: a handler failed, or an event cannot be read.
        RebuildInterrupted: ``stop`` was set; what is built stays.
        ShareLost: a process or its connection is gone; what is built stays.
    """
    from rill_django.projections.rebuilding.tasks import Task, perform_all

    projection = steps.projection
    if DjangoEventStore().sequence() - steps.position < WORTH_SHARING:
        return
    steps.share_out(workers)
    tasks = [
        Task(projection.name, batch_size=batch_size, share=(number, workers))
        for number in range(workers)
    ]
    reached = {str(task.share): steps.position for task in tasks}

    def advance(share: str, position: int, head: int) -> None:
        reached[share] = position
        if progress is not None:
            progress(projection.name, sum(reached.values()) // workers, head)

    stop = stop or Event()
    try:
        outcomes = list(perform_all(tasks, workers, advance, stop))
    except BrokenProcessPool as error:
        raise ShareLost(
            "A process was killed, maybe for want of memory. The next rebuild goes on from there; give it "
            "fewer workers."
        ) from error
    if stop.is_set():
        position = min(reached.values())
        raise RebuildInterrupted(projection.name, position, is_kept=True)
    for outcome in outcomes:
        if not outcome.is_good:
            raise (ShareLost if outcome.may_go_on else ShareFailed)(outcome.text)


@rare_collections()
@without_query_log()
def build_share(
    projection: Projection,
    share: tuple[int, int],
    *,
    batch_size: int | None,
    progress: Progress,
    stop: Stop,
) -> int:
    """Build one share of the rows beside, up to what the head of the log is at the end.

    Another process may still be at a batch of it, if whoever has started that one was killed.

    Returns:
        The position up to which it is built.

    Raises:
        HandlerFailed, UnreadableEvent: an event cannot be applied.
        RowsBesideLost: the share is gone, or is another one by this process's code.
        RebuildInterrupted: ``stop`` was set.
    """
    number, of = share
    store = DjangoEventStore()
    place = place_for(projection, "beside")
    if place is None:
        raise RowsBesideLost(f"There are no rows beside those of {projection.name}.")
    projection = place.projection
    shares = Shares(projection, of)
    bookmark = Bookmark(projection, is_kept=True)
    session, position = projection.session(), -1
    size = batch_size or BATCH_SIZE
    while True:
        head = store.sequence()
        with transaction.atomic(using=place.using):
            mark = bookmark.lock_share(share, store)
            if place.division() != shares.division:
                raise RowsBesideLost(f"The rows of {projection.name} are divided in another way.")
            if mark.position != position:
                session = projection.session(is_empty=mark.position == 0)
            until = max(head, mark.position)

            def read(position: int, until: int = until) -> Batch:
                return shares.read(number, store, position, until, size)

            position = apply_for_a_while(
                place,
                session,
                read(mark.position),
                None if batch_size else read,
                head=until,
                turn=Turn(STEP_SECONDS, stop),
            )
            mark.move_to(position, seen_at(store, position))
        progress(str(share), position, head)
        if position >= head:
            return position
        if stop.is_set():
            raise RebuildInterrupted(projection.name, position, is_kept=True)
