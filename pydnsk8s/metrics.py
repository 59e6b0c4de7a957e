"""The numbers Prometheus reads: families of counters, gauges and histograms under CoreDNS's names.

Rule: counting is cheap and reading pays. A query costs one dictionary update; the rest is worked out at the scrape.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from pydnsk8s import codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import Collector

TIMES = tuple(0.00025 * 2**power for power in range(16))
"""Histogram bounds for answers, in seconds: a quarter of a millisecond to 8 seconds."""
SLIM_TIMES = tuple(0.00025 * 10**power for power in range(5))
"""A few bounds, in seconds, for what has many labels."""
SIZES = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)
"""Histogram bounds for packets, in octets."""

before_scrape: list[Callable[[], Iterator[None] | None]] = []
"""Called before the numbers are read, so that whoever saved some up can hand them in: many in turns, a few each."""


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, servings: float = 1) -> None:
        """Count so many more."""
        self.value += servings


class Gauge:
    """A number that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def set(self, value: float) -> None:
        """Replace the number."""
        self.value = value

    def add(self, difference: float = 1) -> None:
        """Change the number by so much."""
        self.value += difference


class Histogram:
    """How many observations fell under each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value that was observed so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


T = TypeVar("T", Counter, Gauge, Histogram)


class Family(Generic[T]):
    """All the numbers of one name, told apart by the values of their labels."""

    def __init__(self, name: str, help: str, names: tuple[str, ...], make: Callable[[], T]) -> None:
        self.name = name
        self.help = help
        self.names = names
        self._make: Callable[[], T] = make
        self._children: dict[tuple[str, ...], T] = {}
        if not names:
            self.labels()  # one without labels is shown from the start, as 0

    def labels(self, *values: str) -> T:
        """The number with these label values, in the order of the labels' names; made when first asked for."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self.names):
                raise ValueError(f"{self.name} has the labels {self.names}, got {values}")
            child = self._children[values] = self._make()
        return child

    def remove(self, *values: str) -> None:
        """Show the number with these label values no longer."""
        self._children.pop(values, None)

    def clear(self) -> None:
        """Show none of the numbers any longer."""
        self._children.clear()

    def items(self) -> Iterator[tuple[tuple[str, ...], T]]:
        """Each set of label values with its number."""
        yield from self._children.items()


_families: dict[str, Family[Counter] | Family[Gauge] | Family[Histogram]] = {}


def counter(name: str, help: str, *labels: str) -> Family[Counter]:
    """The process's counters of this name, which ends in ``_total``."""
    return _register(Family(name, help, labels, Counter))


def gauge(name: str, help: str, *labels: str) -> Family[Gauge]:
    """The process's gauges of this name."""
    return _register(Family(name, help, labels, Gauge))


def histogram(name: str, help: str, bounds: tuple[float, ...], *labels: str) -> Family[Histogram]:
    """The process's histograms of this name; the bounds are upper ones, in rising order."""
    return _register(Family(name, help, labels, lambda: Histogram(bounds)))


def _register(family: Family[T]) -> Family[T]:
    if family.name in _families:
        raise ValueError(f"{family.name} exists already: use the one there is")
    _families[family.name] = family
    return family


_BLOCK = ("server", "zone", "view")
_REQUESTS = counter("coredns_dns_requests_total", "DNS queries answered.", *_BLOCK, "proto", "family", "type")
_DURATIONS = histogram("coredns_dns_request_duration_seconds", "Time from query to reply.", TIMES, *_BLOCK)
_REQUEST_SIZES = histogram("coredns_dns_request_size_bytes", "Octets of the queries.", SIZES, *_BLOCK, "proto")
_RESPONSE_SIZES = histogram("coredns_dns_response_size_bytes", "Octets of the replies.", SIZES, *_BLOCK, "proto")
_DO_REQUESTS = counter("coredns_dns_do_requests_total", "DNS queries with the DO bit set.", *_BLOCK)
_RESPONSES = counter(
    "coredns_dns_responses_total", "DNS replies by response code and answering plugin.", *_BLOCK, "rcode", "plugin"
)
PANICS = counter("coredns_panics_total", "Unexpected exceptions while answering.").labels()
BUILD = gauge("coredns_build_info", "Always 1; the labels say what is running.", "version", "revision", "goversion")
PLUGIN_ENABLED = gauge("coredns_plugin_enabled", "1 for each plugin of a server block.", *_BLOCK, "name")

_TYPES = {
    codes.TYPES[name]: name
    for name in (
        "A", "AAAA", "CNAME", "DNSKEY", "DS", "MX", "NSEC", "NSEC3", "NS", "PTR", "RRSIG", "SOA", "SRV", "TXT",
        "HTTPS", "SVCB", "IXFR", "AXFR", "ANY",
    )
}  # fmt: skip


def type_label(type: int) -> str:
    """The name of a common record type, ``other`` for the rest: clients must not choose the number of labels."""
    return _TYPES.get(type, "other")


class Shape(NamedTuple):
    """What the numbers of queries and replies tell apart."""

    proto: str
    family: int
    """1 for IPv4, 2 for IPv6."""
    type: int
    do: bool
    rcode: int
    plugin: str
    request_size: int
    response_size: int


ShapeKey: TypeAlias = tuple[str, int, int, bool, int, str, int, int]
"""A Shape as the plain tuple it is counted under, which is made for every query."""


class Traffic:
    """Counts the queries that one of our addresses answers for one zone and view."""

    _MOST_SHAPES = 4096

    def __init__(self, server: str, zone: str, view: str = "") -> None:
        self._labels = (server, zone, view)
        self._durations = _DURATIONS.labels(*self._labels)
        self._shapes: dict[ShapeKey, int] = {}

    def count(self, shape: ShapeKey, servings: int, seconds: float) -> None:
        """Count so many replies of one shape (see Shape), which took these seconds together."""
        shapes, durations = self._shapes, self._durations
        shapes[shape] = shapes.get(shape, 0) + servings
        # As observe() does, on the way of every query.
        durations.counts[bisect_left(durations.bounds, seconds / servings)] += servings
        durations.sum += seconds
        if len(shapes) > self._MOST_SHAPES:
            self.settle()

    def settle(self) -> None:
        """Bring what was counted into the families Prometheus reads."""
        shapes, self._shapes = self._shapes, {}
        for key, servings in shapes.items():
            shape = Shape(*key)
            _REQUESTS.labels(*self._labels, shape.proto, str(shape.family), type_label(shape.type)).add(servings)
            _RESPONSES.labels(*self._labels, codes.rcode_name(shape.rcode), shape.plugin).add(servings)
            _REQUEST_SIZES.labels(*self._labels, shape.proto).observe(shape.request_size, servings)
            _RESPONSE_SIZES.labels(*self._labels, shape.proto).observe(shape.response_size, servings)
            if shape.do:
                _DO_REQUESTS.labels(*self._labels).add(servings)


_traffic: dict[tuple[str, str, str], Traffic] = {}


def traffic(server: str, zone: str, view: str = "") -> Traffic:
    """The process's count for these labels; the same one after a reload, so that the numbers go on."""
    key = (server, zone, view)
    if key not in _traffic:
        _traffic[key] = Traffic(*key)
    return _traffic[key]


class _House:
    """Shows the families of this module to prometheus_client."""

    def collect(self) -> Iterator[Metric]:
        for family in _families.values():
            metric = _metric(family)
            if metric.samples:
                yield metric


def _metric(family: Family[Counter] | Family[Gauge] | Family[Histogram]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    whole = HistogramMetricFamily(family.name, family.help, labels=family.names)
    gauges = GaugeMetricFamily(family.name, family.help, labels=family.names)
    counters = CounterMetricFamily(family.name, family.help, labels=family.names)
    metric: Metric = counters
    for values, child in family.items():
        match child:
            case Histogram():
                metric = whole
                if values and not any(child.counts):
                    continue  # a zone nobody asks for does not get twenty lines of zeros
                # Bounds are written as Go writes them ("100", not "100.0"): dashboards name them.
                bounds = [*(f"{bound:.12g}" for bound in child.bounds), "+Inf"]
                whole.add_metric(values, list(zip(bounds, accumulate(child.counts), strict=True)), child.sum)
            case Gauge():
                metric = gauges
                gauges.add_metric(values, child.value)
            case Counter():
                counters.add_metric(values, child.value)
    return metric


def exposition(*more: Collector) -> tuple[str, bytes]:
    """The content type and text of all numbers, and of those that other collectors of prometheus_client give.

    Always the classic text format, as CoreDNS answers too, whatever newer ones the reader would take.
    """
    for _ in _handed_in():
        pass
    return _text(*more)


async def exposition_in_turns(*more: Collector) -> tuple[str, bytes]:
    """The same, with queries answered in between: handing in what was counted of many names takes a while."""
    for _ in _handed_in():
        await asyncio.sleep(0)
    return _text(*more)


def _handed_in() -> Iterator[None]:
    for hook in tuple(before_scrape):
        yield from hook() or ()
    for count in tuple(_traffic.values()):
        count.settle()
        yield


def _text(*more: Collector) -> tuple[str, bytes]:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    for collector in (_House(), *more):
        registry.register(collector)
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)
