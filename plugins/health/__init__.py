"""health - says over HTTP that the process is alive, and holds its end back while clients move on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from pydnsk8s import background, log, metrics
from pydnsk8s.listen import http
from pydnsk8s.plugin import Plugin, ServerBlock

if TYPE_CHECKING:
    from pydnsk8s.corefile import Directive

_log = log.plugin("health")
_DURATION = metrics.histogram(
    "coredns_health_request_duration_seconds", "Time our own health page takes.", metrics.SLIM_TIMES
).labels()
_EVERY = 1.0
"""Seconds between two requests to our own page."""
_FAILURES = metrics.counter("coredns_health_request_failures_total", "Failed requests to our own health page.").labels()


class Health(Plugin):
    """Serves ``/health``, always 200 while the event loop turns, and asks it itself each second."""

    name = "health"

    def __init__(self) -> None:
        self.address = http.Address("", 8080)
        self.lameduck = 0.0
        self.page: http.Page | None = None
        self._checking: asyncio.Task[None] | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        health = block.find(cls) or cls()  # the last one wins, as in CoreDNS
        match directive.args:
            case []:
                pass
            case [address]:
                try:
                    health.address = http.parse_address(address)
                except ValueError as error:
                    raise directive.error(f"health: {error}", address) from None
            case _:
                raise directive.arguments("health [ADDRESS]")
        for option in directive.options:
            match option.words:
                case ["lameduck", duration]:
                    health.lameduck = option.duration(duration, low=0)
                case ["lameduck", *_]:
                    raise option.arguments("lameduck DURATION")
                case _:
                    raise option.unknown("lameduck")
        return health

    async def start(self) -> None:
        self.page = await http.serve(self.address, "/health", lambda: http.Response(200, b"OK"))
        address = self.page.address
        self._checking = background.start(lambda: self._check(address), _log, "asking for our own page")

    async def stop(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
            self._checking = None
        if self.page is not None:
            await self.page.withdraw()
            self.page = None

    async def linger(self) -> None:
        """Go on answering for the lameduck time, so that clients can learn that we are leaving."""
        if self.lameduck:
            _log.info("Going into lameduck mode for %gs", self.lameduck)
            await asyncio.sleep(self.lameduck)

    async def _check(self, address: http.Address) -> None:
        # A request that arrives late at our own page shows an overloaded event loop before the kubelet does.
        host = "127.0.0.1" if address.host in ("::", "0.0.0.0") else address.host
        while True:
            await asyncio.sleep(_EVERY)
            begin = time.monotonic()
            try:
                async with asyncio.timeout(5):
                    fine = await _ask(host, address.port)
            except OSError:  # a TimeoutError is one
                fine = False
            taken = time.monotonic() - begin
            _DURATION.observe(taken)
            if not fine:
                _FAILURES.add()
                _log.warning("Our own request to the health page at %s failed after %.3fs", address, taken)
            elif taken > 1:
                _log.warning("Our own request to the health page at %s took %.3fs", address, taken)


async def _ask(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    finally:
        writer.close()
