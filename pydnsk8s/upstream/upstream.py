"""One server to ask, with everything known and kept about it."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol

from pydnsk8s import codes, metrics
from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.health import Health
from pydnsk8s.upstream.outstanding import Message, Patience
from pydnsk8s.upstream.stream import Streams
from pydnsk8s.upstream.terms import Reuse, Terms
from pydnsk8s.upstream.udp import Udp

_CHECK_SECONDS = 1.0

_DURATIONS = metrics.histogram(
    "coredns_proxy_request_duration_seconds",
    "Time an upstream took to answer.",
    metrics.TIMES,
    "proxy_name",
    "to",
    "rcode",
)
_CHECK_FAILURES = metrics.counter(
    "coredns_proxy_healthcheck_failures_total", "Health checks without a reply.", "proxy_name", "to"
)
_HITS = metrics.counter(
    "coredns_proxy_conn_cache_hits_total", "Questions that left by an open connection.", "proxy_name", "to", "proto"
)
_MISSES = metrics.counter(
    "coredns_proxy_conn_cache_misses_total", "Questions that had to open a connection.", "proxy_name", "to", "proto"
)


class Connections(Protocol):
    """The connections of one kind to an upstream."""

    async def ask(self, message: Message, seconds: float) -> bytes:
        """The reply to the message; Unanswered if there is none."""

    async def stop(self) -> None:
        """Close them."""


class Upstream:
    """A server at one address, asked on the same terms each time."""

    def __init__(self, address: Address, terms: Terms, plugin: str = "forward") -> None:
        if address.scheme != "dns":
            terms = replace(terms, stream=True)
        self.address = address
        self.terms = terms
        self.plugin = plugin
        self._text = str(address)
        self._durations: dict[int, metrics.Histogram] = {}
        self._patience = Patience()
        self._udp = Udp(address, terms, self._patience, self._reuse("udp"))
        self.begin = self._udp.begin
        """Send a message over UDP and wait without a coroutine."""
        self._streams = self._connections()
        self.health = Health(
            self._check, terms.check_every, terms.max_fails, _CHECK_FAILURES.labels(plugin, self._text)
        )

    def __str__(self) -> str:
        return self._text

    def _reuse(self, protocol: str) -> Reuse:
        labels = self.plugin, self._text, protocol
        return Reuse(_HITS.labels(*labels), _MISSES.labels(*labels))

    def _connections(self) -> Connections:
        match self.address.scheme:
            case "https":
                from pydnsk8s.upstream.https import Https

                return Https(self.address, self.terms, self._reuse("https"))
            case "tls":
                return Streams(self.address, self.terms, self._patience, self._reuse("tcp-tls"), encrypted=True)
            case _:
                return Streams(self.address, self.terms, self._patience, self._reuse("tcp"))

    def ask(self, message: Message, seconds: float, *, stream: bool = False) -> Awaitable[bytes]:
        """The reply to the message, over UDP unless ``stream`` or the terms forbid it; Unanswered if there is none."""
        if stream or self.terms.stream:
            return self._streams.ask(message, seconds)
        return self._udp.ask(message, seconds)

    def took(self, seconds: float, rcode: int) -> None:
        """Count a reply and how long it took."""
        durations = self._durations.get(rcode)
        if durations is None:
            durations = _DURATIONS.labels(self.plugin, self._text, codes.rcode_name(rcode))
            self._durations[rcode] = durations
        # As observe() does, on the way of every query.
        durations.counts[bisect_left(durations.bounds, seconds)] += 1
        durations.sum += seconds

    def _check(self) -> Awaitable[bytes]:
        flags = codes.RD if self.terms.check_recursion else 0
        return self.ask(Message.ask(self.terms.check_name, codes.NS, flags=flags), _CHECK_SECONDS)

    async def stop(self) -> None:
        """Close every connection and end the checks."""
        await self.health.stop()
        self._udp.close()
        await self._streams.stop()
        self._patience.stop()
        # A transport reports its end to the loop, which has to turn once for that.
        await asyncio.sleep(0)
