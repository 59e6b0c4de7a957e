"""forward - has other servers answer, and passes their replies on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from pydnsk8s import background, clock, codes, log, metrics, names, subnet
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import Later, Plugin, Rest, ServerBlock, StartError, Take, Wake
from pydnsk8s.plugins.forward.attempts import ALTOGETHER, Attempt, Attempts, Trier, advance, finish, no_answer
from pydnsk8s.plugins.forward.messages import message_for, without_subnet
from pydnsk8s.plugins.forward.rules import MOST, Rules, read
from pydnsk8s.relay import Relay
from pydnsk8s.upstream import Address, Message, Unanswered, Upstream, resolve

_log = log.plugin("forward")
_HEADER = 10  # octets of a message's header without its id
_TYPE_CLASS = 4  # octets that end a question
_REJECTED = metrics.counter(
    "coredns_forward_max_concurrent_rejects_total", "Queries refused because too many were waiting."
).labels()


class Forward(Plugin):
    """Asks upstreams for the names in its zone; what they say is passed on as they said it."""

    name = "forward"

    def __init__(self, rules: Rules, block: ServerBlock) -> None:
        self.rules = rules
        self.upstreams: tuple[Upstream, ...] = ()
        self._block = block
        self._waiting = 0
        self._most = rules.concurrent or math.inf
        """Queries that may wait for an upstream."""
        self._trier = Trier((), rules, block.limit)
        self._followers: tuple[Forward, ...] = ()
        self._bequeathed = False
        self._short = False
        """Whether the rules let a query wait without a coroutine: sent over UDP, the reply for the client."""

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        rules = read(directive, block)
        block.any_class = True
        return cls(rules, block)

    def inherit(self, old: Self) -> bool:
        # Certificates are read anew, and a resolv.conf may name other servers than before.
        if old._bequeathed or self.rules.terms.contexts or self.rules.targets != old.rules.targets:
            return False
        old._bequeathed = True
        self.upstreams = old.upstreams
        return True

    async def start(self) -> None:
        if not self.upstreams:
            self.upstreams = tuple([self._upstream(address) for address in await self._addresses()])
        self._trier = Trier(self.upstreams, self.rules, self._block.limit)
        self._followers = self._find_followers()
        by_stream = any(upstream.terms.stream for upstream in self.upstreams)
        self._short = not (by_stream or self._followers or self.rules.fail_fast)

    async def stop(self) -> None:
        if (process := self._block.process) is not None:
            # After a reload others are asked; whoever waits still gets what these say.
            await background.until(lambda: not self._waiting or process.stopping.is_set(), ALTOGETHER)
        await asyncio.gather(*(upstream.stop() for upstream in self.upstreams))

    async def _addresses(self) -> list[Address]:
        found: list[Address] = []
        for target in self.rules.targets:
            if isinstance(target, Address):
                found.append(target)
                continue
            try:
                found += [target.at(address) for address in await resolve(target.name, self.rules.resolvers)]
            except Unanswered as error:
                raise StartError(f"plugin/forward: cannot look up {target.name}: {error}") from None
        if len(found) > MOST:
            raise StartError(f"plugin/forward: expected at most {MOST} upstreams, found {len(found)}")
        return found

    def _upstream(self, address: Address) -> Upstream:
        terms = self.rules.terms
        if terms.source and (":" in terms.source) != (":" in address.host):
            _log.warning("source_address %s is not used for %s: one is IPv4, the other IPv6", terms.source, address)
            terms = replace(terms, source="")
        return Upstream(address, terms)

    def _find_followers(self) -> tuple[Forward, ...]:
        """The forward plugins directly behind this one in its block."""
        plugins = self._block.plugins
        found: list[Forward] = []
        for plugin in plugins[plugins.index(self) + 1 :] if self in plugins else ():
            if not isinstance(plugin, Forward):
                break
            found.append(plugin)
        return tuple(found)

    def takes(self, name: bytes) -> bool:
        """Whether this plugin forwards queries for the name."""
        zone = self.rules.zone
        if zone != names.ROOT and not names.is_under(name, zone):
            return False
        excepted = self.rules.excepted
        return not excepted or name == zone or not any(names.is_under(name, other) for other in excepted)

    def relay(self, query: Query, zone: bytes) -> Relay | None:
        rules = self.rules
        if not self._short or not names.is_under(zone, rules.zone) or not names.are_apart(zone, rules.excepted):
            return None
        if codes.NXDOMAIN in rules.failover:
            return None  # what one upstream denies another may know
        tail = message_for(query, self._block.limit).tail
        kind = _Kind(self, tail[:_HEADER], tail[_HEADER + len(query.name) + _TYPE_CLASS :])
        return Relay(zone, kind.send, self._passed_on, self._taking)

    def send(self, message: Message, wake: Wake) -> Sequence[Upstream] | None:
        """Send a message to the first of the upstreams, which are given in the order to try them.

        None if too many wait already.
        """
        if self._waiting >= self._most:
            return None
        candidates = self._trier.candidates()
        candidates[0].begin(message, self.rules.terms.read_timeout, wake)
        self._waiting += 1
        return candidates

    def _passed_on(self, candidates: Sequence[Upstream], came: bytes | Unanswered, seconds: float) -> None:
        self._waiting -= 1
        upstream = candidates[0]
        if isinstance(came, Unanswered):
            upstream.health.doubt()
        else:
            upstream.took(seconds, came[3] & 15)

    def _taking(self, query: Query, behind: Later | None, candidates: Sequence[Upstream], begun: float) -> Take:
        """What makes the reply of what comes from the first of these, which was sent a query already."""
        return partial(self._take, query, candidates, begun)

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        if not self._short or (query.edns is not None and query.edns.options):
            return None
        if query.client.transport != "udp" or not self.takes(query.name):
            return None
        begun = clock.now()
        candidates = self.send(message_for(query, self._block.limit), wake)
        return None if candidates is None else self._taking(query, behind, candidates, begun)

    def _take(
        self, query: Query, candidates: Sequence[Upstream], begun: float, came: bytes | Unanswered
    ) -> Reply | Rest:
        self._waiting -= 1
        # Only now: while many wait, what they hold counts.
        attempts = self._trier.attempts(query, candidates, begun)
        advance(attempts, None)
        step = advance(attempts, came)
        return step if isinstance(step, Reply) else partial(self._go_on, attempts, step)

    async def _go_on(self, attempts: Attempts, step: Attempt, _: Query) -> Reply:
        self._waiting += 1
        try:
            return await finish(attempts, step)
        finally:
            self._waiting -= 1

    async def answer(self, query: Query, rest: Rest) -> Reply:
        rules = self.rules
        if not self.takes(query.name):
            return await rest(query)
        if self._waiting >= self._most:
            _REJECTED.add(1)
            why = f"{rules.concurrent} queries are waiting for an upstream already (max_concurrent)"
            return no_answer(codes.REFUSED, why)
        self._waiting += 1
        try:
            asked = without_subnet(query) if rules.strips else query
            reply = await self._ask(asked)
            if reply.rcode == codes.REFUSED and (told := subnet.of(asked)) is not None and told.bits:
                # RFC 7871 section 7.3: perhaps it is the client subnet that is refused.
                reply = (await self._ask(without_subnet(query))).under(Keep(0, scope=told.bits))
        finally:
            self._waiting -= 1
        if self._followers and self._hands_on(reply) and any(each.takes(query.name) for each in self._followers):
            return (await rest(query)).under(reply.keep)
        return reply

    def _hands_on(self, reply: Reply) -> bool:
        if reply.rcode in self.rules.next_rcodes:
            return True
        return self.rules.next_on_nodata and reply.rcode == codes.NOERROR and not (reply.answer or reply.truncated)

    def _ask(self, query: Query) -> Awaitable[Reply]:
        attempts = self._trier.attempts(query)
        return finish(attempts, advance(attempts, None))


class _Kind:
    """Questions that are sent in messages which differ in nothing but the question."""

    def __init__(self, forward: Forward, head: bytes, rest: bytes) -> None:
        self._forward = forward
        self._head = head
        """With which the messages begin,"""
        self._rest = rest
        """and what follows the question."""

    def send(self, question: bytes, wake: Wake) -> Sequence[Upstream] | None:
        """As ``Forward.send``, for a question section."""
        return self._forward.send(Message(self._head + question + self._rest, question), wake)
