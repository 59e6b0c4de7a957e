"""prometheus - counts queries and replies, and serves the numbers of the process over HTTP."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Self

from pydnsk8s import background, log, metrics, names
from pydnsk8s.listen import http
from pydnsk8s.plugin import Plugin, ServerBlock
from pydnsk8s.plugins.prometheus import web
from pydnsk8s.version import VERSION

if TYPE_CHECKING:
    from pydnsk8s.corefile import Directive

_EVERY = 30.0  # seconds between two looks at the certificates
_LOG = log.plugin("prometheus")


class Prometheus(Plugin):
    """Serves ``/metrics`` and has the queries of its block counted."""

    name = "prometheus"
    once = True

    def __init__(self, block: ServerBlock) -> None:
        self.address = http.Address("localhost", 9153)
        self.runtime = False
        self.web: web.Web | None = None
        """How the page is encrypted; None if it is not."""
        self.page: http.Page | None = None
        self._block = block
        self._following: asyncio.Task[None] | None = None
        self._served: set[tuple[str, str, str]] = set()

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        prometheus = cls(block)
        match directive.args:
            case []:
                pass
            case [address]:
                try:
                    prometheus.address = http.parse_address(address)
                except ValueError as error:
                    raise directive.error(f"prometheus: {error}", address) from None
            case _:
                raise directive.arguments("prometheus [ADDRESS]")
        for option in directive.options:
            match option.words:
                case ["runtime_metrics"]:
                    prometheus.runtime = True
                case ["tls", file]:
                    try:
                        prometheus.web = web.Web(block.path(file))
                    except ValueError as error:
                        raise option.error(f"tls: {error}", file) from None
                case ["runtime_metrics", *_]:
                    raise option.arguments("runtime_metrics")
                case ["tls", *_]:
                    raise option.arguments("tls FILE")
                case _:
                    raise option.unknown("runtime_metrics", "tls")
        block.traffic = prometheus.traffic
        return prometheus

    def traffic(self, server: str, zone: bytes) -> metrics.Traffic:
        """The counters for one of our addresses, such as ``dns://:53``, and a zone of the block."""
        labels = (server, names.text(zone), self._block.view)
        self._served.add(labels)
        return metrics.traffic(*labels)

    async def start(self) -> None:
        metrics.BUILD.labels(VERSION, "", f"python{platform.python_version()}").set(1)
        context = self.web.context if self.web is not None else None
        self.page = await http.serve(self.address, "/metrics", self._show, context)
        metrics.before_scrape.append(self._show_plugins)
        if self.web is not None:
            self._following = background.start(self._follow, _LOG, "looking at the certificates")

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self.page is not None:
            metrics.before_scrape.remove(self._show_plugins)
            metrics.PLUGIN_ENABLED.clear()  # who still runs says so again at the next scrape
            await self.page.withdraw()
            self.page = None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Show the page with the certificates that there are now; if they cannot be used, with those from before."""
        try:
            if self.web is not None and self.page is not None and self.web.look():
                await self.page.secure(self.web.context)
        except ValueError as error:
            _LOG.warning("tls: %s; going on with the certificates from before", error)

    def _show_plugins(self) -> None:
        for labels in self._served:
            for plugin in self._block.plugins:
                metrics.PLUGIN_ENABLED.labels(*labels, plugin.name).set(1)

    async def _show(self) -> http.Response:
        from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

        more = [PROCESS_COLLECTOR, GC_COLLECTOR, PLATFORM_COLLECTOR] if self.runtime else [PROCESS_COLLECTOR]
        type, text = await metrics.exposition_in_turns(*more)
        return http.Response(200, text, type)
