"""What a collector may know of this service and its queues: numbers, no names of anybody."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from db.repositories.queues import QueueStatus

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The service's own counters, and the queues as they are when asked."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ytempire_http_requests_total",
            "Answered requests.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "ytempire_http_request_seconds",
            "From a request's first byte to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._jobs = Gauge(
            "ytempire_queue_jobs",
            "Jobs that have not ended.",
            ("queue", "state"),
            registry=self._registry,
        )
        self._oldest = Gauge(
            "ytempire_queue_oldest_ready_seconds",
            "How long the next job of a queue has been ready.",
            ("queue",),
            registry=self._registry,
        )

    def count(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the path's pattern, so that ids make no series."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self, queues: Sequence[QueueStatus]) -> bytes:
        """The text format of Prometheus."""
        self._jobs.clear()
        self._oldest.clear()
        for queue in queues:
            for state in ("ready", "scheduled", "blocked", "processing"):
                self._jobs.labels(queue.queue, state).set(getattr(queue, state))
            self._oldest.labels(queue.queue).set(queue.oldest_seconds or 0.0)
        return generate_latest(self._registry)
