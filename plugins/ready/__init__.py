"""ready - says over HTTP whether every plugin that has something to wait for has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydnsk8s.listen import http
from pydnsk8s.plugin import Plugin, ServerBlock

if TYPE_CHECKING:
    from pydnsk8s.corefile import Directive

_watching: list[Ready] = []
"""Every running ``ready`` of the process: each address tells of all their blocks."""


class Ready(Plugin):
    """Serves ``/ready``: 200 when every plugin of every block with ``ready`` is, else 503 and their names."""

    name = "ready"
    once = True

    def __init__(self, block: ServerBlock) -> None:
        self.address = http.Address("", 8181)
        self.continuously = False
        self.leaving = False
        self.page: http.Page | None = None
        self._block = block
        self._once_ready: set[Plugin] = set()

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        ready = cls(block)
        match directive.args:
            case []:
                pass
            case [address]:
                try:
                    ready.address = http.parse_address(address)
                except ValueError as error:
                    raise directive.error(f"ready: {error}", address) from None
            case _:
                raise directive.arguments("ready [ADDRESS]")
        for option in directive.options:
            match option.words:
                case ["monitor", when]:
                    ready.continuously = option.switch(when, "until-ready", "continuously") == "continuously"
                case ["monitor", *_]:
                    raise option.arguments("monitor WHEN")
                case _:
                    raise option.unknown("monitor")
        return ready

    async def start(self) -> None:
        self.page = await http.serve(self.address, "/ready", _show)
        _watching.append(self)

    async def stop(self) -> None:
        if self.page is not None:
            _watching.remove(self)
            await self.page.withdraw()
            self.page = None

    async def linger(self) -> None:
        """Be unready from now on, so that no new clients are sent to a server that is leaving."""
        self.leaving = True

    def unready(self) -> set[str]:
        """The plugins of the block that are not ready yet, or not any longer if they are asked continuously."""
        waiting = set()
        for plugin in self._block.plugins:
            if plugin in self._once_ready:
                continue
            if not plugin.ready():
                waiting.add(plugin.name)
            elif not self.continuously:
                self._once_ready.add(plugin)
        return waiting


def _show() -> http.Response:
    if any(ready.leaving for ready in _watching):
        return http.Response(503, b"shutting down")
    unready = set[str]().union(*(ready.unready() for ready in _watching))
    return http.Response(503, ",".join(sorted(unready)).encode()) if unready else http.Response(200, b"OK")
