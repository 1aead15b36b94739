"""Figures for Prometheus. Needs ``pip install rill-django[prometheus]``.

Where projections stand is read from the database when Prometheus asks, so that it is right whoever is
asked, also when no worker is left: any web process can tell, by `metrics`. How fast and with what trouble a
worker works is known to that worker alone, which tells it on a port of its own: see `serve`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import connections
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from rill_django.projections.checkpoint import State
from rill_django.projections.observing import BatchApplied, BatchFailed, subscribe, unsubscribe
from rill_django.projections.status import projection_statuses

_LABELS = ("projection", "partition")
_BATCH_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class StatusCollector(Collector):
    """Tells where all projections stand, by a few queries at the time of asking.

    To add it to a registry that is exported already: ``REGISTRY.register(StatusCollector())``.
    """

    def describe(self) -> list[Metric]:
        """Name nothing, so that registering it asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; what rebuilds make beside the live rows is left out."""
        statuses = projection_statuses()
        head = GaugeMetricFamily("rill_log_position", "Last position of the log of events")
        head.add_metric([], max((one.head for one in statuses), default=0))
        unsequenced = GaugeMetricFamily(
            "rill_log_unsequenced_events", "Committed events that have no position yet"
        )
        unsequenced.add_metric([], max((one.unsequenced.number for one in statuses), default=0))
        unsequenced_seconds = GaugeMetricFamily(
            "rill_log_unsequenced_seconds",
            "Age of the oldest committed event that has no position yet",
        )
        oldest = max((one.unsequenced.oldest_seconds for one in statuses), default=0.0)
        unsequenced_seconds.add_metric([], oldest)
        position, lag, lag_seconds, stopped, waiting, parked = gauges = [
            GaugeMetricFamily(f"rill_projection_{name}", text, labels=_LABELS)
            for name, text in (
                ("position", "Last position that is applied"),
                ("lag_events", "Events in the log that are not applied yet"),
                ("lag_seconds", "Age of the oldest event that is not applied yet"),
                ("stopped", "1 if it stands still at an event that it cannot apply"),
                (
                    "waiting_seconds",
                    "For how long a worker has been waiting, for the database or for a newer release",
                ),
                ("parked_events", "Events that wait because a handler failed on their key"),
            )
        ]
        for piece in (piece for status in statuses for piece in status.pieces):
            if not piece.is_beside:
                labels = [piece.name, str(piece.partition)]
                position.add_metric(labels, piece.position)
                lag.add_metric(labels, piece.lag)
                lag_seconds.add_metric(labels, piece.lag_seconds)
                stopped.add_metric(labels, piece.state is State.STOPPED)
                waiting.add_metric(labels, piece.waiting_seconds)
                parked.add_metric(labels, piece.parked)
        yield from (head, unsequenced, unsequenced_seconds, *gauges)


class _InThreadOfItsOwn(StatusCollector):
    """Leaves no connection open in the thread that served one request."""

    def collect(self) -> Iterator[Metric]:
        try:
            yield from list(super().collect())
        finally:
            connections.close_all()


class WorkerMetrics:
    """Counts what the workers of this process do. Subscribe it once: ``subscribe(WorkerMetrics())``.

    Args:
        registry: that the figures are put into; default: a new one, see `registry`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._events = Counter(
            "rill_projection_events",
            "Events applied by this worker",
            _LABELS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "rill_projection_batch_seconds",
            "Time from the start of a batch to its commit",
            _LABELS,
            buckets=_BATCH_SECONDS,
            registry=self.registry,
        )
        self._failures = Counter(
            "rill_projection_failures",
            "Events that could not be applied, by what became of the projection",
            (*_LABELS, "outcome"),
            registry=self.registry,
        )

    def __call__(self, seen: BatchApplied | BatchFailed) -> None:
        """Count; see `rill_django.projections.observing.subscribe`."""
        labels = (seen.projection, str(seen.partition))
        if isinstance(seen, BatchFailed):
            self._failures.labels(*labels, seen.outcome.name.lower()).inc()
        else:
            self._events.labels(*labels).inc(seen.events)
            self._batches.labels(*labels).observe(seen.seconds)


def metrics(request: HttpRequest) -> HttpResponse:
    """Show where projections stand: ``path("metrics/", metrics)``. Guard it, as it names your projections."""
    registry = CollectorRegistry()
    registry.register(StatusCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def serve(port: int, address: str = "127.0.0.1") -> Callable[[], None]:
    """Tell all figures on a port, in a thread that ends with the process at the latest. For workers.

    Args:
        port: to listen on. Each worker process needs its own.
        address: to listen at; ``0.0.0.0``: all of the machine's.

    Returns:
        A function that ends it.

    Raises:
        OSError: the port is taken.
    """
    worker = WorkerMetrics()
    worker.registry.register(_InThreadOfItsOwn())
    server, thread = start_http_server(port, address, worker.registry)
    subscribe(worker)

    def stop() -> None:
        unsubscribe(worker)
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
