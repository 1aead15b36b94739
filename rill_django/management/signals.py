"""Ending long-running commands: the first signal asks, the second does not."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError

from rill_django.store.migrated import NotMigrated
from rill_django.store.trouble import trouble_of

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of whoever was ended by Ctrl-C, as shells have it."""


class Interruptible:
    """A management command that Ctrl-C ends without a traceback, also before it has begun its work.

    Nor is a log that is not migrated one, which says what to do, or a database that cannot be reached. To be
    named before Django's class. While Django itself starts, only ``manage.py`` can do the same.
    """

    def execute(self, *args: Any, **options: Any) -> Any:
        """See Django."""
        try:
            return super().execute(*args, **options)  # type: ignore[misc]
        except NotMigrated as error:
            raise CommandError(str(error)) from None
        except (DatabaseError, InterfaceError) as error:
            trouble = trouble_of(error)
            if trouble is None:
                raise
            # The option --traceback shows the rest.
            raise CommandError(f"{trouble.value}: {error}".strip()) from error

    def run_from_argv(self, argv: list[str]) -> None:
        """See Django."""
        try:
            super().run_from_argv(argv)  # type: ignore[misc]
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


class StopSignal:
    """Is set by the first SIGINT or SIGTERM; waiting for it ends at once then.

    Not a ``threading.Event``: a handler that runs while the main thread holds that one's lock, in
    ``wait``, would wait for itself.
    """

    def __init__(self, wakeup: socket.socket, waker: socket.socket) -> None:
        self._wakeup = wakeup
        self._waker = waker
        self._is_set = False

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a signal, at most so many seconds; return whether one has come."""
        if not self._is_set and select.select([self._wakeup], [], [], timeout)[0]:
            with suppress(BlockingIOError):  # Another thread was quicker.
                self._wakeup.recv(4096)
        return self._is_set

    def set(self) -> None:
        """Ask to stop without a signal, also from another thread."""
        self._is_set = True
        with suppress(OSError):  # Full: then nobody needs to be woken. Closed: nobody is there.
            self._waker.send(b"\0")

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; the second one ends the process."""
        if self._is_set:
            os._exit(128 + number)
        self._is_set = True


@contextmanager
def stopped_by_signals() -> Iterator[StopSignal]:
    """Yield what SIGINT or SIGTERM sets; to be used in the main thread."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        stop = StopSignal(ours, theirs)
        # Python writes to this socket when a signal comes, so that no wait can miss it.
        wakeup_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        before = {one: signal.signal(one, stop.handle) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stop
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            signal.set_wakeup_fd(wakeup_before)
