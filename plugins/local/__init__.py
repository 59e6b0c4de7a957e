"""local - answers for localhost and the loopback's reverse names, so that nobody else is asked (RFC 6761, RFC 6303)."""

from __future__ import annotations

from typing import Self

from pydnsk8s import codes, metrics, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock, Turn

_TTL = 604800  # a week
_LOCALHOST = names.parse("localhost")
_ZONES = (_LOCALHOST, *map(names.parse, ("0.in-addr.arpa", "127.in-addr.arpa", "255.in-addr.arpa")))
_LOOPBACK = bytes((127, 0, 0, 1))
_LOOPBACK_REVERSE = names.reverse(_LOOPBACK)
_SOA = rdata.soa(_LOCALHOST, names.parse("root.localhost"), 1, timers=(0, 0, 0, _TTL))
_APEX = {codes.SOA: _SOA, codes.NS: _LOCALHOST}
_HOST = {codes.A: _LOOPBACK, codes.AAAA: bytes(15) + b"\1"}
_USAGE = {"localhost_prefix": "localhost_prefix on|off"}

_REQUESTS = metrics.counter("coredns_local_localhost_requests_total", "Counter of localhost.<domain> requests.")


class Local(Plugin):
    """Answers with constants; names elsewhere pass."""

    name = "local"

    def __init__(self) -> None:
        self.prefix = True
        """Whether names that start with ``localhost.`` are taken, too: a search list makes them of ``localhost``."""
        self.requests = _REQUESTS.labels()

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("local")
        local = cls()
        for option in directive.options:
            match option.words:
                case ["localhost_prefix", state]:
                    local.prefix = option.switch(state, "on", "off") == "on"
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        return local

    def at_once(self, query: Query) -> Turn:
        if query.klass != codes.IN:
            return HAND_ON
        name = query.name
        zone = names.closest(name, _ZONES)
        if name != _LOCALHOST and (zone == _LOCALHOST or (self.prefix and name.startswith(_LOCALHOST[:-1]))):
            return self._tell(query, name, _HOST).with_(tallies=(self.requests,))
        if zone is None:
            return HAND_ON
        if name == zone:
            return self._tell(query, zone, _APEX | _HOST if zone == _LOCALHOST else _APEX)
        if name == _LOOPBACK_REVERSE:
            return self._tell(query, zone, {codes.PTR: _LOCALHOST})
        denied = self._tell(query, zone, {})
        # RFC 8020 section 2: a name with others below it exists, even if it holds nothing itself.
        return denied if names.is_under(_LOOPBACK_REVERSE, name) else denied.with_(rcode=codes.NXDOMAIN)

    def _tell(self, query: Query, zone: bytes, known: dict[int, bytes]) -> Reply:
        """The record of the type asked for, or the denial that the name has one (RFC 2308 section 2.2)."""
        reply = Reply(authoritative=False, keep=ALWAYS, plugin=self.name)
        if query.type in known:
            return reply.with_(answer=(Record(query.name, query.type, _TTL, known[query.type]),))
        return reply.with_(authority=(Record(zone, codes.SOA, _TTL, _SOA),))
