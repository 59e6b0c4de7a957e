"""One address we are asked at: how a packet becomes a reply, whatever transport brought it."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from pydnsk8s import clock, codes, metrics, names
from pydnsk8s.gate import Gate, Sender, Watch, packed
from pydnsk8s.message import Client, Query, Reply, Seen
from pydnsk8s.plugin import LIMIT, PASSED, Later, ServerBlock
from pydnsk8s.router import Router, Site, Way, tell_of_fault
from pydnsk8s.wire import FormError, parse, render

_log = logging.getLogger("pydnsk8s.server")
SMALLEST = 512  # RFC 1035 section 4.2.1: octets every UDP client takes
_LARGEST = 65_535

Served: TypeAlias = tuple[metrics.Traffic, metrics.ShapeKey]
"""Where a reply was counted, and as what."""
Send = Callable[[bytes], Awaitable[bool]]
"""Sends a message, then waits until there is room for the next one; False if nobody is left to take it."""


class Waiting(NamedTuple):
    """A query whose reply has to be waited for."""

    query: Query
    later: Later
    router: Router
    way: Way
    gate: Gate
    arrived: float


class Port:
    """An address, the zones served there, and the memory in front of them."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.gates: dict[tuple[str, int], Gate] = {}
        """One memory for each transport and address family."""
        self._noted: list[tuple[ServerBlock, Seen]] = []

    def gate(self, transport: str, family: int) -> Gate:
        """The memory for a transport (``udp``, ``tcp``) and a family (1 for IPv4, 2 for IPv6)."""
        return self.gates.setdefault((transport, family), Gate())

    def swap(self, router: Router) -> None:
        """Answer from another configuration from now on."""
        self.router = router
        self.forget()

    def forget(self) -> None:
        """Remember no replies from before; before a port is let go, too, for they hold the gates they are in."""
        for gate in self.gates.values():
            gate.forget()

    def settle(self) -> None:
        """Hand in all counts that are still held back."""
        for _ in self.settling():
            pass

    def settling(self) -> Iterator[None]:
        """The same, a few at a time: wherever it yields there may be queries."""
        for gate in tuple(self.gates.values()):
            yield from gate.settling()

    def respond(self, packet: bytes, client: Client, gate: Gate, arrived: float) -> bytes | Waiting | None:
        """The reply to a packet that the gate does not know, or what has to be waited for; None to send nothing."""
        try:
            query = parse(packet, client)
        except FormError as error:
            return error.reply
        router = self.router
        way = router.way(query)
        reply = router.at_once(query, way)
        if not isinstance(reply, Reply):
            return Waiting(query, reply, router, way, gate, arrived)
        return self._finish(query, reply, router, way.site, gate, arrived, learn=True)

    async def answer(
        self, packet: bytes, client: Client, gate: Gate, arrived: float, send: Send | None = None
    ) -> bytes | None:
        """The same, waited for."""
        reply = self.respond(packet, client, gate, arrived)
        return await self.wait(reply, send) if isinstance(reply, Waiting) else reply

    async def wait(self, waiting: Waiting, send: Send | None) -> bytes | None:
        """The reply that had to be waited for; of one in several messages the last, ``send`` takes those before."""
        query, later, router, way, _, arrived = waiting
        reply = await router.answer(query, way, later)
        if reply.more is None or reply.rcode == codes.DROP or send is None:
            return self.complete(waiting, reply)
        limit = _limit(way.site)
        wire, size = await _send_all(query, reply.more, _render(query, reply, limit)[0], send, limit)
        self._tell_of(query, reply, router, way.site, wire, size, arrived)
        return wire

    def complete(self, waiting: Waiting, reply: Reply) -> bytes | None:
        """The bytes of a reply that has come, as a datagram."""
        query, _, router, way, gate, arrived = waiting
        if reply.more is not None:
            # A datagram is all there is room for: the client has to come again by a stream.
            reply = reply.with_(answer=(), truncated=True, more=None)
        return self._finish(query, reply, router, way.site, gate, arrived)

    def _finish(
        self,
        query: Query,
        reply: Reply,
        router: Router,
        site: Site | None,
        gate: Gate,
        arrived: float,
        *,
        learn: bool = False,
    ) -> bytes | None:
        """The reply's bytes, counted, and remembered as it allows; the gate may ``learn`` from it, too."""
        if reply.rcode == codes.DROP:
            return None
        wire, reply = _render(query, reply, _limit(site))
        try:
            self._note_and_remember(query, reply, wire, router, site, gate, arrived, learn=learn)
        except Exception as error:  # noqa: BLE001 - a plugin's tally or keep that is none
            # The reply is right, and the queries that were read with this one wait.
            tell_of_fault(query, error, site and site.block, "remembering the reply to")
        return wire

    def _note_and_remember(
        self,
        query: Query,
        reply: Reply,
        wire: bytes,
        router: Router,
        site: Site | None,
        gate: Gate,
        arrived: float,
        *,
        learn: bool,
    ) -> None:
        served = self._tell_of(query, reply, router, site, wire, len(wire), arrived)
        # A configuration that was swapped out while its plugins worked must not be remembered.
        if not query.plain or router is not self.router:
            return
        if learn and site is not None and reply.plugin in site.block.surveys and is_example(query, reply, site.block):
            self._learn(query, reply, wire, site.block, gate, served)
        if gate.admits(query.packet, reply.keep):
            tallies = reply.tallies if served is None else (*reply.tallies, _Replayed(*served, gate))
            watch = self._watch(site, query, reply, gate) if site is not None and site.block.watchers else None
            gate.remember(query.packet, wire, reply.keep, query.client.address, arrived, tallies=tallies, watch=watch)

    def _learn(
        self, query: Query, reply: Reply, wire: bytes, block: ServerBlock, gate: Gate, served: Served | None
    ) -> None:
        """Show the gate a reply that may be an example of those for other names in its zone."""
        keep = reply.keep
        if keep.live and not (keep.prefix4 or keep.prefix6 or keep.scope):
            survey = partial(self.router.survey, query, block, reply.plugin)
            gate.learn(query.packet, wire, survey, partial(_count_made, served, gate), turns=keep.turns)

    def _tell_of(
        self, query: Query, reply: Reply, router: Router, site: Site | None, wire: bytes, size: int, arrived: float
    ) -> Served | None:
        """Count the reply, and note it for the plugins that want to see it; where it was counted, and as what."""
        seconds = clock.now() - arrived
        for tally in reply.tallies:
            tally.add(1)
        if site is None:
            traffic = router.dropped
        else:
            traffic = site.traffic
            if site.block.watchers:
                self._note(site.block, Seen(query, reply, size, _flags(wire), seconds))
        if traffic is None:
            return None
        client, edns = query.client, query.edns
        family, do = 1 if len(client.address) == 4 else 2, edns is not None and edns.do
        shape = (client.transport, family, query.type, do, reply.rcode, reply.plugin, query.size, size)
        traffic.count(shape, 1, seconds)
        return traffic, shape

    def _watch(self, site: Site, query: Query, reply: Reply, gate: Gate) -> Watch:
        def watch(packet: bytes, sent: bytes, sender: Sender) -> None:
            client = query.client._replace(address=packed(sender[0]), port=sender[1])
            again = query.with_(client=client, id=packet[0] << 8 | packet[1], labels=dict(query.labels))
            if any(names.is_under(query.name, zone) for zone in site.block.labelled):
                for labeller in site.labellers:
                    again.labels.update(labeller.labels(again))
            self._note(site.block, Seen(again, reply, len(sent), _flags(sent), gate.pace))

        return watch

    def _note(self, block: ServerBlock, seen: Seen) -> None:
        if not self._noted:
            asyncio.get_running_loop().call_soon(self._tell)
        self._noted.append((block, seen))

    def _tell(self) -> None:
        """Show the plugins that take note of queries what was answered since the last time."""
        noted, self._noted = self._noted, []
        start = 0
        for end in range(1, len(noted) + 1):
            block = noted[start][0]
            if end == len(noted) or noted[end][0] is not block:
                batch: Sequence[Seen] = [seen for _, seen in noted[start:end]]
                for plugin in block.watchers:
                    plugin.seen(batch)
                start = end


def is_example(query: Query, reply: Reply, block: ServerBlock, *, counted: bool = False) -> bool:
    """Whether the replies for other names may be like this one.

    It has nothing that the next would not have: nobody to tell, no part that depends on who asks, no counter unless the
    others are ``counted``, too.
    """
    if not query.plain or query.type not in PASSED or (query.edns is not None and query.edns.options):
        return False
    return not (block.watchers or (reply.tallies and not counted) or reply.error)


async def _send_all(query: Query, more: Iterator[Reply], wire: bytes, send: Send, limit: int) -> tuple[bytes, int]:
    """Send one message after the other; returns the last, not sent yet, and the octets of all."""
    size = len(wire)
    for further in more:
        if not await send(wire):
            break
        wire = render(query, further, _LARGEST, limit)
        size += len(wire)
    return wire, size


def _render(query: Query, reply: Reply, limit: int) -> tuple[bytes, Reply]:
    """A reply's bytes; SERVFAIL in its place if there can be none."""
    room = _room(query, limit)
    try:
        return render(query, reply, room, limit), reply
    except FormError as error:
        why = f"bad upstream reply: {error}"
    except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        # A record that is none, such as one with a negative TTL: the plugin's fault, and only its own.
        why = f"plugin/{reply.plugin} gave what cannot be sent: {error}"
        _log.error("%s, in answer to %r", why, query)
    failure = Reply(codes.SERVFAIL, authoritative=False, error=why)
    return render(query, failure, room, limit), failure


def _flags(wire: bytes) -> int:
    return wire[2] << 8 | wire[3]


def _limit(site: Site | None) -> int:
    """The largest UDP reply in octets, which is also the size that replies advertise."""
    return LIMIT if site is None else site.block.limit


def _room(query: Query, limit: int) -> int:
    """Octets the reply may have."""
    if query.client.transport != "udp":
        return _LARGEST
    if query.edns is None:
        return SMALLEST
    # RFC 6891 section 6.2.5: sizes below 512 mean 512.
    return min(max(query.edns.size, SMALLEST), limit)


def _count_made(served: Served | None, gate: Gate, longer: int, servings: int) -> None:
    """Count replies that the gate made, whose questions are so much longer than that of the one it learned from."""
    if served is not None:
        traffic, shape = served
        traffic.count((*shape[:6], shape[6] + longer, shape[7] + longer), servings, servings * gate.pace)


class _Replayed(Struct, gc=False, eq=False):
    """Counts replays of one reply; there is one for each entry of a gate, and the collector looks at neither."""

    traffic: metrics.Traffic
    shape: metrics.ShapeKey
    gate: Gate

    def add(self, servings: int) -> None:
        """Count so many, each at the pace of the gate."""
        self.traffic.count(self.shape, servings, servings * self.gate.pace)
