"""The numbers of a cluster's API: requests, what could not be read, how old the data is, how long changes took."""

from __future__ import annotations

import threading

from pydnsk8s import metrics

_BOUNDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

REQUESTS = metrics.counter(
    "coredns_kubernetes_rest_client_requests_total", "Requests to the API server.", "code", "method", "host"
)
DURATIONS = metrics.histogram(
    "coredns_kubernetes_rest_client_request_duration_seconds",
    "Time until the API server's response began.",
    _BOUNDS,
    "verb",
    "host",
)
_WAITS = metrics.histogram(
    "coredns_kubernetes_rest_client_rate_limiter_duration_seconds",
    "Time that requests were held back by ourselves: always 0, there is no limiter.",
    _BOUNDS,
    "verb",
    "host",
)
PROGRAMMING = metrics.histogram(
    "coredns_kubernetes_dns_programming_duration_seconds",
    "Time from the change of a service's pods to its being answered.",
    tuple(0.001 * 2**power for power in range(20)),
    "service_kind",
)
SKIPPED = metrics.counter(
    "coredns_kubernetes_objects_skipped_total", "Objects that could not be read and were passed over.", "kind"
)
AGE = metrics.gauge(
    "coredns_kubernetes_data_age_seconds",
    "For how long the API server could not be followed: 0 while what is answered is up to date.",
    "host",
)

_counting = threading.Lock()  # the families are not made for several threads, and each kind is followed in its own


def count_request(host: str, code: str, seconds: float) -> None:
    """Count a request and the time until its response began; from any thread."""
    with _counting:
        REQUESTS.labels(code, "GET", host).add()
        DURATIONS.labels("GET", host).observe(seconds)
        _WAITS.labels("GET", host).observe(0)


def count_skipped(kind: str) -> None:
    """Count an object that could not be read; from any thread."""
    with _counting:
        SKIPPED.labels(kind).add()
