"""Packets passed on to another server, and its replies passed back, without a query being made of them.

Rules: only what the chain would send is sent. What that is was learned from a query that went through the chain: how
queries of its kind are sent, that is of all packets that differ from it in nothing but id and name, and what becomes of
replies of the shape of the one that came. What is of another shape, or fails, goes on through the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from pydnsk8s import clock, codes, names
from pydnsk8s.gate import Sender
from pydnsk8s.gate.entry import pair
from pydnsk8s.listen.pending import Held
from pydnsk8s.listen.port import SMALLEST, Port, Waiting, is_example
from pydnsk8s.message import Query, Reply
from pydnsk8s.names import MAX_NAME, STEPS
from pydnsk8s.plugin import Later, Take
from pydnsk8s.relay import Relay
from pydnsk8s.wire import FormError, Forwarded, outline

_KINDS = 64  # three types of question in the forms that clients give them
_ZONES = 1024  # for each kind: a flood of made-up top-level domains does not fill the memory
_SHAPES = 256  # for each kind and zone
_TYPE_CLASS = 4  # octets that end a question
_AROUND = 12 + _TYPE_CLASS  # octets of a packet that are neither a name nor behind the question
_OPT = b"\0\0\x29"  # owner and type, with which an OPT record begins (RFC 6891 section 6.1.2)
_ADDRESSES = frozenset((codes.A, codes.AAAA, codes.MX))  # several of these may get another order each time
_ADDRESS = {codes.A: 4, codes.AAAA: 16}  # octets
_OWNED = 12  # octets of a record up to its data, its owner being a pointer

SendTo: TypeAlias = Callable[[bytes, Sender], object]
Shape: TypeAlias = bytes
"""Of a reply that came: flags and counts, then the types of the records, then the OPT record."""


class Look(NamedTuple):
    """What replies of one shape look like when they are sent."""

    head: bytes
    """Flags and counts."""
    opt: bytes
    """The OPT record."""
    counted: tuple[str, int, int, bool, int, str]
    """What they are counted as, but for the octets (see ``metrics.Shape``)."""


class Route:
    """How questions of one kind for names in one zone go, and what becomes of the replies."""

    __slots__ = (
        "_alone", "_behind", "_looks", "_traffic", "_width",
        "begins", "keep", "other", "passed_on", "send", "stamp", "take",
    )  # fmt: skip

    def __init__(self, relay: Relay, waiting: Waiting) -> None:
        self.stamp, self.other = pair(relay.stamps)
        """It still goes while both are alive."""
        self._traffic = waiting.way.site and waiting.way.site.traffic
        self._behind = len(waiting.query.packet) - len(waiting.query.name) - _AROUND
        """Octets of a packet behind its question."""
        self._looks: dict[Shape, Look] = {}
        self._width = _ADDRESS.get(waiting.query.type, 0)
        self._alone: dict[bytes, Look] = {}
        """Of replies with one address and nothing else but an OPT record, by all that is neither TTL nor address."""
        self.send, self.passed_on, self.take, self.keep = relay.begin, relay.passed_on, relay.take, relay.keep
        self.begins = waiting.later.begin
        """Who begins to wait for such queries in the chain."""

    def pass_back(self, packet: bytes, to: Any, came: bytes, seconds: float) -> bytes | None:
        """What is sent for what came from them after so many seconds, counted; None if that is for the chain to say."""
        # The question came back as the client spelled it, or this would not have been taken for the reply.
        at = len(packet) - self._behind
        end = at + _OWNED + self._width
        look = self._alone.get(came[2:12] + came[at : at + 6] + came[at + 10 : at + 12] + came[end:])
        if look is None:
            if self.keep is not None:
                return None
            try:
                types, last = outline(came, at)
            except FormError:
                return None
            end = last if types.endswith(_OPT[1:]) else len(came)
            look = self._looks.get(came[2:12] + types + came[end:])
            if look is None:
                return None
        head, opt, counted = look
        if end + len(opt) > SMALLEST:
            return None  # it may have to be cut
        if self.keep is not None:
            kept = self.keep(to, came, at)
            if kept is None:
                return None
            came = kept
        wire = packet[:2] + head + came[12:end] + opt
        if self._traffic is not None:
            self._traffic.count((*counted, len(packet), len(wire)), 1, seconds)
        return wire

    def learn(self, query: Query, reply: Forwarded, wire: bytes) -> None:
        """Take what was sent for a reply as an example of what is sent for those of its shape."""
        came, found = reply.wire, reply.found
        end = found.opt_at or len(came)
        head, opt = wire[2:12], wire[end:]
        # What has more to it than that is no example.
        if wire != wire[:2] + head + came[12:end] + opt or (opt and not opt.startswith(_OPT)):
            return
        if found.opt_at and not found.opt_last:
            return
        if max(len(self._looks), len(self._alone)) >= _SHAPES:
            self._looks.clear()
            self._alone.clear()
        counted = query.client.transport, query.client.family, query.type, query.do, reply.rcode, reply.plugin
        look, at = Look(head, opt, counted), found.question_end
        self._looks[came[2:12] + outline(came, at)[0] + came[end:]] = look
        if self._width and found.types == (query.type,) and came[at] >= 0xC0 and end == at + _OWNED + self._width:
            self._alone[came[2:12] + came[at : at + 6] + came[at + 10 : at + 12] + came[end:]] = look


class Relayed(Struct, eq=False, gc=False):
    """A packet that was passed on; it is held as long as somebody wants the reply."""

    relays: Relays
    route: Route
    packet: bytes
    sender: Sender
    local: bytes
    """The address asked, packed."""
    send: SendTo
    begun: float
    """When it came, by the clock."""
    to: Any = None
    """Whom it was sent, as ``Relay.begin`` said."""

    def wake(self, came: Any) -> None:
        """Pass back what came."""
        relays, route = self.relays, self.route
        if relays.held.pop(self, self) is self:
            self.end(came)
            return
        seconds = clock.now() - self.begun
        wire = route.pass_back(self.packet, self.to, came, seconds) if isinstance(came, bytes) else None
        if wire is None:
            relays.leave(self, came)
            return
        route.passed_on(self.to, came, seconds)
        relays.deliver(self.send, wire, self.sender)

    def end(self, came: Any) -> None:
        """Let it be: nobody wants the reply, or has another one."""
        self.route.passed_on(self.to, came, clock.now() - self.begun)

    def take(self, query: Query, behind: Later | None) -> Take:
        """What makes the reply of what came, as the chain would."""
        return self.route.take(query, behind, self.to, self.begun)

    def give_up(self) -> None:
        """Hold it no longer: the reply will not be sent."""
        del self.relays.held[self]


Leave: TypeAlias = Callable[[Relayed, Any], None]
"""Has the chain go on with what came."""


class Relays:
    """The routes that one UDP socket has learned."""

    def __init__(self, port: Port, held: Held, deliver: Callable[[SendTo, bytes, Sender], None], leave: Leave) -> None:
        self.held = held
        self.deliver = deliver
        self.leave = leave
        self._port = port
        self._kinds: dict[bytes, dict[bytes, Route | None]] = {}
        """By what queries have beside id and name, and by zone; None below which there is no one route."""

    def pass_on(self, packet: bytes, sender: Sender, local: bytes, send: SendTo, now: float) -> bool:
        """Pass a packet on, if there is a route for it; else it is for the chain."""
        at = last = 12
        try:
            while step := STEPS[packet[at]]:
                last = at
                at += step
        except IndexError:
            return False
        zones = self._kinds.get(packet[2:12] + packet[at + 1 :])
        if zones is None or at - 12 >= MAX_NAME:
            return False
        # As a rule the zone is a top-level domain, or all names go one way.
        route = zones.get(packet[last : at + 1].lower()) or zones.get(names.ROOT)
        if route is None or not (route.stamp.alive and route.other.alive):
            route = self._route(zones, packet[12 : at + 1].lower())
            if route is None:
                return False
        relayed = Relayed(self, route, packet, sender, local, send, now)
        relayed.to = route.send(packet[12 : at + 1 + _TYPE_CLASS], relayed.wake)
        if relayed.to is None:
            return False
        self.held[relayed] = None
        return True

    def forget(self) -> None:
        """Learn all routes anew: the configuration has changed."""
        self._kinds.clear()

    def learn(self, waiting: Waiting, reply: Reply, wire: bytes) -> None:
        """Take a reply that somebody else gave as an example of what is sent for others like it."""
        query, later, router, way, _, _ = waiting
        site = way.site
        if router is not self._port.router or site is None or reply.plugin not in site.block.relays:
            return
        # Whoever does the waiting in front of who had it answered keeps it, and has a counter of its servings.
        if later.begin is None or not is_example(query, reply, site.block, counted=later.behind is not None):
            return
        if not isinstance(reply, Forwarded) or not _teaches(query, reply):
            return
        zones = self._zones(query.packet[2:12] + query.packet[12 + len(query.name) :])
        route = self._route(zones, query.name)
        above = names.parent(query.name)
        if route is None and above not in zones and reply.rcode == codes.NOERROR:
            relay = router.relay(query, site, reply.plugin)
            zones[relay.zone if relay is not None else above] = route = relay and Route(relay, waiting)
        if route is not None:
            route.learn(query, reply, wire)

    def _zones(self, kind: bytes) -> dict[bytes, Route | None]:
        """The routes of one kind, with room for one more."""
        if len(self._kinds) >= _KINDS and kind not in self._kinds:
            self._kinds.clear()
        zones = self._kinds.setdefault(kind, {})
        if len(zones) >= _ZONES:
            zones.clear()
        return zones

    def _route(self, zones: dict[bytes, Route | None], name: bytes) -> Route | None:
        """The route for a name; those met on the way that are no more are forgotten."""
        for zone in names.suffixes(name):
            route = zones.get(zone)
            if route is not None and route.stamp.alive and route.other.alive:
                return route
            if route is not None:
                del zones[zone]
        return None


def _teaches(query: Query, reply: Forwarded) -> bool:
    """Whether the reply is of a shape of which all are passed back alike."""
    if (query.klass, query.opcode) != (codes.IN, codes.OPCODE_QUERY):
        return False
    # What is truncated may be asked for again by a stream, so that this one need not be what came first.
    if reply.rcode not in (codes.NOERROR, codes.NXDOMAIN) or reply.truncated:
        return False
    return sum(type in _ADDRESSES for type in reply.found.types) < 2
