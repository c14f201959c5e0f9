"""What Prometheus is told of a server: requests, their time, batches, fall-backs, the champion."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, values
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Where Feast was imported first, prometheus_client keeps values in files that all registries share (feast/metrics.py).
values.ValueClass = values.MutexValue

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)
CANDIDATES = (1, 10, 50, 100, 200, 300, 400, 500)
REQUESTS = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, *, seconds_since_check: Callable[[], float]) -> None:
        """Makes the metrics.

        Args:
            seconds_since_check: since the alias was last read; inf where it never was.
        """
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "headwater_requests", "Requests for scores, by HTTP status", ["status"], registry=registry
        )
        self.seconds = Histogram(
            "headwater_request_seconds", "From a request's head to its answer's", buckets=SECONDS, registry=registry
        )
        self.candidates = Histogram(
            "headwater_candidates", "Candidates of a request", buckets=CANDIDATES, registry=registry
        )
        self.batch_requests = Histogram(
            "headwater_batch_requests", "Requests scored as one batch", buckets=REQUESTS, registry=registry
        )
        self.fallbacks = Counter(
            "headwater_fallbacks", "Requests scored as unknown: the online store could not be read", registry=registry
        )
        self.champion = Info("headwater_champion", "The version that serves", registry=registry)
        checked = Gauge("headwater_alias_check_age_seconds", "Since the alias champion was read", registry=registry)
        checked.set_function(seconds_since_check)


class Measured:
    """ASGI middleware: counts and times the requests of one path, whatever becomes of them."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, path: str) -> None:
        """Wraps an app."""
        self.app, self.metrics, self.path = app, metrics, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"] != self.path:
            return await self.app(scope, receive, send)
        started = time.perf_counter()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(message["status"]).inc()
                self.metrics.seconds.observe(time.perf_counter() - started)
            await send(message)

        await self.app(scope, receive, observed)
