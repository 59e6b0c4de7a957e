"""reload - swaps to the Corefile's new contents when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Self

from pydnsk8s import background, log, metrics
from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock

_INFO = metrics.gauge("coredns_reload_version_info", "Always 1; the hash of the running Corefile.", "hash", "value")
_log = log.plugin("reload")


class Reload(Plugin):
    """Looks at the Corefile every interval; the swap itself, and its failures, are the server's business."""

    name = "reload"

    def __init__(self, block: ServerBlock, interval: float, jitter: float) -> None:
        self._block = block
        # Drawn once, so that replicas started together do not reload together.
        self.interval = interval + random.uniform(-jitter / 2, jitter / 2)
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        interval, jitter = 30.0, 15.0
        match directive.args:
            case []:
                pass
            case [every]:
                interval = directive.duration(every, low=2)
                jitter = interval / 2
            case [every, spread]:
                interval = directive.duration(every, low=2)
                jitter = directive.duration(spread, low=0)
                if 0 < jitter < 1:
                    raise directive.error(f"jitter: expected 0s or at least 1s, found {spread}", spread)
            case _:
                raise directive.arguments("reload [INTERVAL [JITTER]]")
        return cls(block, interval, min(jitter, interval / 2))

    async def start(self) -> None:
        if self._block.process is not None:
            self._watching = background.start(self._watch, _log, "looking at the Corefile")

    def proclaim(self, digest: str) -> None:
        """Say in metrics and log that the Corefile with this hash is running."""
        _INFO.clear()
        _INFO.labels("sha512", digest).set(1)
        _log.info("Running configuration SHA512 = %s", digest)

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while self._block.process is not None:
            await asyncio.sleep(self.interval)
            self._block.process.request_reload(force=False)
