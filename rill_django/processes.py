"""Work in several processes with database connections of their own. They end with whoever began them.

This module is imported by new processes before Django is set up there, so it imports no models.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from threading import Lock, Thread
from types import FrameType
from typing import Any, TypeVar

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from rill_django.stopping import Stop
from rill_django.store.postgresql_cursors import look_up_there, names_of

P = TypeVar("P")
R = TypeVar("R")

Tell = Callable[[Any], object]
"""Sends a value to the process that has begun this one."""

LOOK_EVERY_SECONDS = 0.1

GRACE_SECONDS = 5.0
"""How long a process may go on with its step when the one that has begun it is gone."""

PARTS_AHEAD = 4
"""So many parts for each process are handed out before results are taken: a log may have millions."""


def in_processes(
    work: Callable[[P, Tell, Stop], R],
    parts: Iterable[P],
    workers: int,
    *,
    told: Tell = lambda value: None,
    stop: Stop | None = None,
) -> Iterator[tuple[P, R]]:
    """Yield each part with what came of it, as they get ready.

    The processes end when all is done; soon after this one is left early, by whatever error; and soon
    after this process is gone, also by ``kill -9``.

    Args:
        work: a function of a module, or a ``partial`` of one, so that it can be found there.
        parts: what it is called with; they are taken as they are needed.
        workers: number of processes.
        told: called in this process with what ``work`` tells.
        stop: asks all of them to stop.

    Raises:
        ImproperlyConfigured: the settings are of no module that a new process could read.
        BrokenProcessPool: a process was killed.
    """
    module = getattr(settings, "SETTINGS_MODULE", None)
    if module is None:
        raise ImproperlyConfigured(
            "Several workers need settings in a module, which DJANGO_SETTINGS_MODULE names."
        )
    context = get_context("spawn")  # Never a fork: connections and threads do not survive one.
    # Without a thread that writes: what is told is there before the result.
    values: SimpleQueue[Any] = context.SimpleQueue()
    stopping = context.Event()
    lifeline, ours = context.Pipe(duplex=False)
    names = {alias: str(connections[alias].settings_dict["NAME"]) for alias in connections}
    # In bytes: a tenant may be of a model, and be read only when Django is set up.
    schemas = pickle.dumps({alias: names_of(connections[alias]) for alias in connections})
    executor = ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_start,
        initargs=(module, names, schemas, values, stopping, lifeline),
    )
    left = iter(parts)
    waiting: dict[Future[R], P] = {}
    # Not `concurrent.futures.wait`: an interrupt in it may leave the futures locked, and whoever has to
    # be told that they are done waits for ever.
    ready: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()
    try:
        while True:
            with _no_interrupts_inherited():
                for part in islice(left, workers * PARTS_AHEAD - len(waiting)):
                    future = executor.submit(_perform, work, part)
                    waiting[future] = part
                    future.add_done_callback(ready.put)
            if not waiting:
                break
            done = _taken(ready, LOOK_EVERY_SECONDS)
            while not values.empty():
                told(values.get())
            if stop is not None and stop.is_set():
                stopping.set()
            for one in done:
                yield waiting.pop(one), one.result()
    finally:
        stopping.set()
        ours.close()
        executor.shutdown(cancel_futures=True)
        lifeline.close()


def _taken(ready: queue.SimpleQueue[R], seconds: float) -> list[R]:
    """Return all that is in the queue, and wait so long for the first."""
    taken: list[R] = []
    with suppress(queue.Empty):
        taken.append(ready.get(timeout=seconds))
        while True:
            taken.append(ready.get_nowait())
    return taken


@contextmanager
def _no_interrupts_inherited() -> Iterator[None]:
    """Have processes that are begun meanwhile hear no Ctrl-C before they are ready to ignore it.

    A terminal sends it to all of them. This process hears it behind the ``with`` block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Stop:
    """Is set by the process that has begun this one, by its death, and by SIGTERM."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._is_terminated = False

    def is_set(self) -> bool:
        parent = parent_process()
        is_alone = parent is None or not parent.is_alive()
        return self._is_terminated or self._event.is_set() or is_alone

    def wait(self, timeout: float | None = None) -> bool:
        self._event.wait(timeout)
        return self.is_set()

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Stop like the others: who ends a service, ends all of its processes at the same moment."""
        if not self._is_terminated:
            self._is_terminated = True
            Thread(target=_end_after_grace, daemon=True).start()


_tell: Tell
_stop: _Stop
_at_work = Lock()


def _end_after_grace() -> None:
    # Most end before, by the lifeline, when whoever has begun them has taken their last results.
    time.sleep(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def _end_with(lifeline: Connection, parent: Any) -> None:
    """End this process soon after its parent has let go of it, or was killed.

    By itself it would wait for ever for another task, from a queue of which it has both ends. A task in
    hand is asked to stop, by `_stop`; what it has not committed in time, the server rolls back.
    """
    wait_for_any([lifeline, parent.sentinel])
    _at_work.acquire(timeout=GRACE_SECONDS)
    os._exit(1)


def _start(
    settings_module: str,
    names: Mapping[str, str],
    schemas: bytes,
    values: SimpleQueue[Any],
    stopping: Event,
    lifeline: Connection,
) -> None:
    """Set up a new process for the databases that its parent is on: in a test, the test's.

    And for the schemas, where each tenant has one.
    """
    global _tell, _stop
    _tell, _stop = values.put, _Stop(stopping)
    Thread(target=_end_with, args=(lifeline, parent_process()), daemon=True).start()
    # Whoever has begun this process hears signals, and asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _stop.terminate)
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    django.setup()
    for alias, name in names.items():
        connections[alias].settings_dict["NAME"] = name
    for alias, looked_up in pickle.loads(schemas).items():
        if looked_up is not None:
            look_up_there(connections[alias], looked_up)
    atexit.register(connections.close_all)


def _perform(work: Callable[[P, Tell, Stop], R], part: P) -> R:
    with _at_work:
        return work(part, _tell, _stop)
