# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is counted, for Prometheus. Labels come from the endpoint table only, so no caller can invent one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30)


class RequestMetrics:
    """Counters of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "animus_requests", "Requests answered", ["operation", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "animus_request_seconds",
            "Time to answer, without streams and long polls",
            ["operation"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._runs = Gauge("animus_runs", "Runs by state", ["state"], registry=self._registry)
        self._rejections = Counter("animus_token_rejections", "Tokens of runs refused", registry=self._registry)
        self._known_requests: dict[tuple[str, int], Counter] = {}
        self._known_seconds: dict[str, Histogram] = {}

    def count(self, operation: str, status: int, seconds: float | None) -> None:
        """Count a request; ``seconds`` is None for what lasts as long as its reader likes."""
        key = (operation, status)
        if key not in self._known_requests:
            self._known_requests[key] = self._requests.labels(operation, str(status))
        self._known_requests[key].inc()
        if seconds is None:
            return
        if operation not in self._known_seconds:
            self._known_seconds[operation] = self._seconds.labels(operation)
        self._known_seconds[operation].observe(seconds)

    def count_rejection(self) -> None:
        """Count a dispatch or run token that was refused."""
        self._rejections.inc()

    def set_runs(self, by_state: dict[str, int]) -> None:
        """Note how many runs are in which state."""
        for state, count in by_state.items():
            self._runs.labels(state).set(count)

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self._registry)
