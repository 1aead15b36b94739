"""Many processes at work at once, and one subscriber who must not miss anything of it.

Standard library only: it runs on the peers' interpreters, too.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Event
from typing import Any

from benchmarks.contestants.base import Contestant

POLL_SECONDS = 0.02
STILL_SECONDS = 1.0
TIMEOUT = 300.0

_context = multiprocessing.get_context("fork")

_end_of: dict[type, int] = {}
"""Where the subscriber of the last crowd stopped, so that the next one need not begin at 1."""

Work = Callable[[Contestant, Any], int]
"""Does a share of the work; returns how many events it has committed."""


def crowd(
    contestant: Contestant,
    prepare: Callable[[Contestant, int], Any],
    work: Work,
    processes: int,
) -> dict[str, Any]:
    """Run ``work`` in so many processes at once, each having prepared what it needs.

    Returns:
        Seconds from the common start to the last one's end, events committed, and how many of them
        the subscriber, who reads the log meanwhile, never got to see.
    """
    contestant.close()  # A connection must not be shared between processes.
    ready, done = _context.Barrier(processes + 1), _context.Event()
    answers: SimpleQueue[Any] = _context.SimpleQueue()
    seen: SimpleQueue[tuple[int, int]] = _context.SimpleQueue()
    workers = [
        _context.Process(
            target=_work, args=(contestant, prepare, work, number, ready, answers), daemon=True
        )
        for number in range(processes)
    ]
    subscriber = _context.Process(
        target=_subscribe,
        args=(contestant, _end_of.get(type(contestant), 0), ready, done, seen),
        daemon=True,
    )
    for process in (*workers, subscriber):
        process.start()
    # Each one answers once, so as many answers as workers are all there will be.
    results = [answers.get() for _ in workers]
    done.set()
    errors = [result for result in results if isinstance(result, str)]
    if errors:
        raise RuntimeError(errors[0])
    committed = sum(events for _, _, events in results)
    delivered, _end_of[type(contestant)] = seen.get()
    for process in (*workers, subscriber):
        process.join()
    return {
        "seconds": max(end for _, end, _ in results) - min(begin for begin, _, _ in results),
        "events": committed,
        "lost": committed - delivered,
    }


def _work(
    contestant: Contestant,
    prepare: Callable[[Contestant, int], Any],
    work: Work,
    number: int,
    ready: Barrier,
    answers: SimpleQueue[Any],
) -> None:
    try:
        prepared = prepare(contestant, number)
        ready.wait(TIMEOUT)  # All have prepared: the subscriber looks for the end of the log.
        ready.wait(TIMEOUT)
        begin = time.monotonic()
        events = work(contestant, prepared)
        answers.put((begin, time.monotonic(), events))
    except Exception as error:
        ready.abort()
        answers.put(f"{type(error).__name__}: {error}")
    finally:
        contestant.close()


def _subscribe(
    contestant: Contestant,
    position: int,
    ready: Barrier,
    done: Event,
    seen: SimpleQueue[tuple[int, int]],
) -> None:
    """Read the log from its present end on, as a projection does, and count what comes."""
    identities: set[str] = set()
    try:
        ready.wait(TIMEOUT)
        while page := contestant.identities_after(position):
            position = page[-1][0]
        ready.wait(TIMEOUT)
        still_since = time.monotonic()
        while not done.is_set() or time.monotonic() - still_since < STILL_SECONDS:
            page = contestant.identities_after(position)
            if page:
                identities.update(identity for _, identity in page)
                position, still_since = page[-1][0], time.monotonic()
            else:
                time.sleep(POLL_SECONDS)
    finally:
        seen.put((len(identities), position))
        contestant.close()
