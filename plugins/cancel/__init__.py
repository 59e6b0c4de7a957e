"""cancel - ends a query that takes too long."""

from __future__ import annotations

import asyncio
from typing import Self

from pydnsk8s import codes
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, Rest, ServerBlock

_DEFAULT = 5.001  # seconds; just over the 5 s after which a resolver library asks again
_SHORTEST = 0.001  # seconds


class Cancel(Plugin):
    """Waits for the rest of the chain so long and no longer."""

    name = "cancel"

    def __init__(self, block: ServerBlock, seconds: float = _DEFAULT) -> None:
        self.seconds = seconds
        self._block = block

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        match directive.args:
            case []:
                return cls(block)
            case [duration]:
                return cls(block, directive.duration(duration, low=_SHORTEST))
        raise directive.arguments("cancel [DURATION]")

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def amend(self, query: Query, reply: Reply) -> Reply:
        return reply  # what is known at once takes no time

    async def answer(self, query: Query, rest: Rest) -> Reply:
        try:
            async with asyncio.timeout(self.seconds) as limit:
                return await rest(query)
        except TimeoutError:
            if not limit.expired():
                raise
            error = f"cancelled after {self.seconds:g} s"
            reply = Reply(codes.SERVFAIL, authoritative=False, plugin=self.name, error=error)
            # It stands behind, where this reply does not pass.
            errors = self._block.named("errors")
            return reply if errors is None else errors.amend(query, reply)
