"""loop - ends the process when what it forwards comes back to it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Self

from pydnsk8s import codes, log, names
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import NEVER, Keep
from pydnsk8s.message import Edns, Query, Reply
from pydnsk8s.metrics import Counter
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, Turn
from pydnsk8s.upstream import Address, Message, Terms, Unanswered
from pydnsk8s.upstream.outstanding import Patience
from pydnsk8s.upstream.terms import Reuse
from pydnsk8s.upstream.udp import Udp

_log = log.plugin("loop")
_WATCHED = 30.0  # seconds from the start; later loops are the business of who made them
_PAUSE = 1.0  # seconds before asking again when nobody answered
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
# RFC 6891 section 9 leaves this code to experiments. Two questions with an option are never taken for the same one,
# so the server does not answer the one that came back by waiting for the one that left.
_APART = Edns(options=((65001, b""),))


class Loop(Plugin):
    """Asks its own server for a name nobody else can know; a question that arrives twice has gone round in a circle."""

    name = "loop"
    once = True

    def __init__(self, block: ServerBlock) -> None:
        self._block = block
        self._zone = block.zones[0] if block.zones else names.ROOT
        self._asked = b""
        """The name that is watched for; empty when none is."""
        self._seen = 0
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        if directive.args:
            raise directive.arguments("loop")
        return cls(block)

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def at_once(self, query: Query) -> Turn:
        return HAND_ON if query.name != self._asked or query.type != codes.HINFO else WAIT

    async def answer(self, query: Query, rest: Rest) -> Reply:
        if query.name != self._asked or query.type != codes.HINFO:
            return await rest(query)
        self._seen += 1
        if self._seen == 1:
            return (await rest(query)).under(NEVER)
        problem = self._describe(query)
        self._asked = b""
        if self._block.process is not None:
            self._block.process.abort(f"plugin/loop: {problem}")
        else:
            _log.error("%s", problem)
        return Reply(codes.SERVFAIL, authoritative=False, plugin=self.name, error=problem)

    def _describe(self, query: Query) -> str:
        client = Address("dns", query.client.text, query.client.port)
        return (
            f'Loop ({client} -> {self._block.label or "this server"}) detected for zone "{names.text(self._zone)}": '
            f"an upstream sends what it is asked back here, see the README of the plugin loop. "
            f'Query: "HINFO {names.text(query.name)}"'
        )

    async def start(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(_WATCHED):
                while not await self._ask():  # noqa: ASYNC110 - this asks, it does not look
                    # The server may not listen yet, or its upstream may be slow.
                    await asyncio.sleep(_PAUSE)
                await asyncio.sleep(_WATCHED)
        except TimeoutError:
            pass
        finally:
            self._asked = b""

    async def _ask(self) -> bool:
        """Ask our own server once, for a new name; whether there was any reply."""
        if not self._block.addresses:
            return False
        host, port = self._block.addresses[0]
        terms = Terms()
        udp = Udp(Address("dns", _LOOPBACK.get(host, host), port), terms, Patience(), Reuse(Counter(), Counter()))
        try:
            # A new name each time: a reply that was only late must not look like a loop.
            self._asked = names.join(_random_label(), _random_label(), to=self._zone)
            self._seen = 0
            await udp.ask(Message.ask(self._asked, codes.HINFO, edns=_APART), terms.read_timeout)
        except Unanswered:
            return False
        finally:
            udp.close()
        return True


def _random_label() -> bytes:
    return b"%d" % secrets.randbits(63)
