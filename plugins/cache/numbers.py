"""The numbers that ``cache`` shows, under CoreDNS's names."""

from __future__ import annotations

from pydnsk8s import metrics

_LABELS = ("server", "zones", "view")
REQUESTS = metrics.counter("coredns_cache_requests_total", "The count of cache requests.", *_LABELS)
MISSES = metrics.counter(
    "coredns_cache_misses_total",
    "The count of cache misses. Deprecated, derive misses from cache hits/requests counters.",
    *_LABELS,
)
PREFETCHES = metrics.counter(
    "coredns_cache_prefetch_total", "The number of times the cache has prefetched a cached item.", *_LABELS
)
DROPS = metrics.counter(
    "coredns_cache_drops_total", "The number responses that are not cached, because the reply is malformed.", *_LABELS
)
SERVED_STALE = metrics.counter(
    "coredns_cache_served_stale_total", "The number of requests served from stale cache entries.", *_LABELS
)
