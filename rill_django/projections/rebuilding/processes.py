"""Several projections at once, in processes with database connections of their own.

This module is imported by new processes before Django is set up there, so it imports no models.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

if TYPE_CHECKING:
    from rill_django.projections.rebuilding.tasks import Outcome, Task
    from rill_django.projections.running import Progress, Stop

LOOK_EVERY_SECONDS = 0.1

GRACE_SECONDS = 5.0
"""How long a process may go on with its step when the one that has started it is gone."""


def in_processes(
    tasks: Sequence[Task], workers: int, progress: Progress, stop: Stop
) -> Iterator[Outcome]:
    """Yield what comes of each task, as they get ready.

    Args:
        workers: number of processes.
        progress: called in this process.
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
    # Without a thread that writes: a task's steps are there before its outcome.
    steps: SimpleQueue[tuple[str, int, int]] = context.SimpleQueue()
    stopping = context.Event()
    names = {alias: str(connections[alias].settings_dict["NAME"]) for alias in connections}
    with ProcessPoolExecutor(
        min(workers, len(tasks)),
        mp_context=context,
        initializer=_start,
        initargs=(module, names, steps, stopping),
    ) as executor:
        waiting: set[Future[Outcome]] = {executor.submit(_perform, task) for task in tasks}
        try:
            while waiting:
                done, waiting = wait(waiting, LOOK_EVERY_SECONDS, FIRST_COMPLETED)
                _pass_on(steps, progress)
                if stop.is_set():
                    stopping.set()
                for one in done:
                    yield one.result()
        finally:
            stopping.set()


def _pass_on(steps: SimpleQueue[tuple[str, int, int]], progress: Progress) -> None:
    while not steps.empty():
        progress(*steps.get())


class _Stop:
    """Is set by the process that has started this one, and by its death."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def is_set(self) -> bool:
        parent = parent_process()
        return self._event.is_set() or parent is None or not parent.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        self._event.wait(timeout)
        return self.is_set()


_tell: Callable[[tuple[str, int, int]], object]
_stop: _Stop
_at_work = Lock()


def _end_with(parent: Any) -> None:
    """End this process soon after its parent, which may have been killed.

    By itself it would wait for ever for another task, from a queue of which it has both ends. A task in
    hand is asked to stop, by `_stop`; what it has not committed in time, the server rolls back.
    """
    wait_for_any([parent.sentinel])
    _at_work.acquire(timeout=GRACE_SECONDS)
    os._exit(1)


def _start(
    settings_module: str, names: Mapping[str, str], steps: SimpleQueue[Any], stopping: Event
) -> None:
    """Set up a new process for the databases that its parent is on: in a test, the test's."""
    global _tell, _stop
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    # Whoever has started this process hears signals, and asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    django.setup()
    for alias, name in names.items():
        connections[alias].settings_dict["NAME"] = name
    _tell, _stop = steps.put, _Stop(stopping)
    atexit.register(connections.close_all)


def _perform(task: Task) -> Outcome:
    from rill_django.projections.rebuilding.tasks import perform

    with _at_work:
        outcome = perform(task, lambda *step: _tell(step), _stop)
    return outcome._replace(error=None)
