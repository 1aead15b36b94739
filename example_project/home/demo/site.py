"""The web server, with the projection worker beside it."""

from __future__ import annotations

import errno
from threading import Thread

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import connections

from example_project.home.demo.errors import DemoFailed
from rill_django.management.signals import StopSignal
from rill_django.projections.worker import ProjectionWorker

SHUTDOWN_POLL_SECONDS = 0.1


class Site:
    """Holds a port from the start, and serves on it once everything is ready.

    Args:
        address: IPv4 or IPv6 address, or a host's name.
        port: number of the port; 0: any that is free.

    Raises:
        DemoFailed: the port cannot be had.
    """

    def __init__(self, address: str, port: int) -> None:
        self._server = ThreadedWSGIServer(
            (address, port), WSGIRequestHandler, ipv6=":" in address, bind_and_activate=False
        )
        try:
            # Bound, not listening: the port is ours, and browsers are not kept waiting meanwhile.
            self._server.server_bind()
        except OSError as error:
            self._server.server_close()
            raise DemoFailed(no_port(address, port, error)) from None
        host = f"[{address}]" if ":" in address else address
        self._address, self._port = address, self._server.server_port
        self.url = f"http://{host}:{self._port}"

    def listen(self) -> None:
        """Let requests come in; they are answered once `serve` runs.

        Raises:
            DemoFailed: somebody else was quicker.
        """
        try:
            self._server.server_activate()
        except OSError as error:
            raise DemoFailed(no_port(self._address, self._port, error)) from None

    def serve(self, stop: StopSignal) -> None:
        """Serve, and keep the projections up to date, until ``stop`` is set.

        Raises:
            DemoFailed: the worker has died.
        """
        self._server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
        worker = Worker(self._server, stop)
        worker.start()
        try:
            self._server.serve_forever(SHUTDOWN_POLL_SECONDS)
        finally:
            stop.set()
            worker.join()
        if worker.error is not None:
            raise DemoFailed(
                f"The projection worker has died: {type(worker.error).__name__}: {worker.error}"
            ) from worker.error

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


class Worker(Thread):
    """The projection worker, in a thread. When it ends, it takes the server with it.

    In production it is a process of its own, ``manage.py run_projections``. Here it is not: a second
    process would live on if the first one were killed, and Ctrl-C in a terminal reaches both at once.
    """

    def __init__(self, server: ThreadedWSGIServer, stop: StopSignal) -> None:
        super().__init__(name="projections")
        self._server = server
        self._stop_signal = stop
        self.error: Exception | None = None

    def run(self) -> None:
        """See `Thread`."""
        try:
            ProjectionWorker().run(self._stop_signal)
        except Exception as error:
            self.error = error
        finally:
            connections.close_all()
            self._server.shutdown()


def no_port(address: str, port: int, error: OSError) -> str:
    """Return what to do about a port that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use. Take another one: --port {port + 1 if port < 65_535 else 8001}"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is not for everybody. Take another one: --port 8001"
    return f"Cannot serve on {address}, port {port}: {error.strerror or error}"
