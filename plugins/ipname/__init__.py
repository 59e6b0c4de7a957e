"""ipname - answers names that have an address written into them with that address."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydnsk8s import codes, names, rdata
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.keep import ALWAYS
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, NOWHERE, Fall, Plugin, ServerBlock, Turn

from .address import Addresses, label, nip, sslip

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_RULES = {"sslip": sslip, "nip": nip}
_PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
    "fc00::/7", "fe80::/10", "::1/128",
)  # fmt: skip
_NEGATIVE = 300  # seconds; a denial is not believed for longer
_TIMERS = (7200, 1800, 86_400, _NEGATIVE)  # refresh, retry and expire, in seconds
_CHALLENGE = b"\x0f_acme-challenge"
_USAGE = {
    "rules": "rules sslip|nip",
    "ttl": "ttl SECONDS",
    "allow": "allow private|PREFIX...",
    "nameserver": "nameserver NAME [ADDRESS...]",
    "acme": "acme",
    "fallthrough": "fallthrough [ZONES...]",
}


class IpName(Plugin):
    """Works every answer out of the name itself, so all of them hold for ever."""

    name = "ipname"
    after = "etcd"

    def __init__(self, zones: tuple[bytes, ...], block: ServerBlock) -> None:
        self.zones = zones
        self.rules = sslip
        self.ttl = 3600
        self.allowed: list[Network] = []
        """The networks whose addresses are given out; none means all."""
        self.servers: dict[bytes, list[bytes]] = {}
        """The zones' name servers with their addresses; none means ``ns`` below each zone with our own."""
        self.acme = False
        """Whether challenges for a certificate are delegated to the address they are about."""
        self.fall = NOWHERE
        self._home = next(zone for zone in zones if not names.is_reverse(zone))
        self._block = block
        self._own: list[bytes] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        zones = directive.zones(directive.args) or block.zones
        if all(names.is_reverse(zone) for zone in zones):
            raise directive.error(
                "a zone that holds names is needed, not only reverse zones", hint="ipname example.org"
            )
        ipname = cls(zones, block)
        for option in directive.options:
            ipname._read(option)
        return ipname

    def _read(self, option: Option) -> None:
        match option.words:
            case ["rules", rules]:
                self.rules = _RULES[option.switch(rules, *_RULES)]
            case ["ttl", seconds]:
                self.ttl = option.number(seconds, 0, 0x7FFFFFFF)
            case ["allow", _, *_]:
                for word in option.args:
                    self.allowed += _networks(option, word)
            case ["nameserver", name, *addresses]:
                self.servers.setdefault(option.domain(name), []).extend(map(option.address, addresses))
            case ["acme"]:
                self.acme = True
            case ["fallthrough", *zones]:
                self.fall = Fall(option.zones(zones) or (names.ROOT,))
            case _:
                raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)

    async def start(self) -> None:
        self._own = interfaces.reachable(self._block.hosts)

    def at_once(self, query: Query) -> Turn:
        zone = names.closest(query.name, self.zones)
        if zone is None or query.klass != codes.IN:
            return HAND_ON
        if self.acme and (referral := self._referral(query, zone)) is not None:
            return referral
        found = self._records(query.name, zone)
        if query.name != zone and not found and self.fall.through(query.name):
            return HAND_ON
        return self._tell(query, zone, found)

    def _records(self, name: bytes, zone: bytes) -> list[Record]:
        """Everything the name has."""
        if name == zone:
            return [self._soa(zone), *(Record(zone, codes.NS, self.ttl, server) for server in self._servers(zone))]
        addresses = self._servers(zone).get(name)
        if addresses:
            return [self._address(name, address) for address in addresses]
        if names.is_reverse(zone):
            return self._pointer(name)
        return [self._address(name, held) for held in self._read_off(name, zone) if held and self._allows(held)]

    def _read_off(self, name: bytes, zone: bytes) -> Addresses:
        return self.rules(names.text(name[: len(name) - len(zone)] + names.ROOT).rstrip("."))

    def _pointer(self, name: bytes) -> list[Record]:
        address = names.address(name)
        if address is None or not self._allows(address):
            return []
        target = names.join(label(address).encode(), to=self._home)
        return [Record(name, codes.PTR, self.ttl, target)] if address in self._read_off(target, self._home) else []

    def _referral(self, query: Query, zone: bytes) -> Reply | None:
        """For names at and below a challenge: the host with the address answers them itself."""
        for cut in names.suffixes(query.name):
            if len(cut) <= len(zone):
                return None
            target = names.parent(cut)
            # RFC 4035 section 3.1.4.1: the DS record at the cut is ours, and there is none.
            if cut.startswith(_CHALLENGE) and not (cut == query.name and query.type == codes.DS):
                glue = self._records(target, zone)
                delegation = Record(cut, codes.NS, self.ttl, target)
                if glue and target != zone:
                    return Reply(
                        authority=(delegation,), additional=glue, keep=ALWAYS, authoritative=False, plugin=self.name
                    )
        return None

    def _tell(self, query: Query, zone: bytes, found: list[Record]) -> Reply:
        """The records of the type asked for; there are always names below a name, so it is never denied."""
        answer = [record for record in found if record.type == query.type]
        if not answer:
            # RFC 2308 section 3: with the lesser of the SOA's own TTL and its last field.
            soa = self._soa(zone)._replace(ttl=min(self.ttl, _NEGATIVE))
            return Reply(authority=(soa,), keep=ALWAYS, plugin=self.name)
        servers = self._servers(zone) if query.type == codes.NS else {}
        near = [server for server, held in servers.items() if held or names.is_under(server, zone)]
        glue = [record for server in near for record in self._records(server, zone)]
        return Reply(answer=answer, additional=glue, keep=ALWAYS, plugin=self.name)

    def _servers(self, zone: bytes) -> dict[bytes, list[bytes]]:
        """The name servers of a zone with the addresses we know of them."""
        return self.servers or {names.join(b"ns", to=self._home_of(zone)): self._own}

    def _home_of(self, zone: bytes) -> bytes:
        """The zone of the names that belong to a zone: reverse zones have none of their own."""
        return self._home if names.is_reverse(zone) else zone

    def _soa(self, zone: bytes) -> Record:
        primary, mailbox = next(iter(self._servers(zone))), names.join(b"hostmaster", to=self._home_of(zone))
        return Record(zone, codes.SOA, self.ttl, rdata.soa(primary, mailbox, 1, timers=_TIMERS))

    def _address(self, name: bytes, packed: bytes) -> Record:
        return Record(name, codes.A if len(packed) == 4 else codes.AAAA, self.ttl, packed)

    def _allows(self, packed: bytes) -> bool:
        address = ipaddress.ip_address(packed)
        return not self.allowed or any(address in network for network in self.allowed)


def _networks(option: Option, word: str) -> list[Network]:
    try:
        return [ipaddress.ip_network(each) for each in (_PRIVATE if word == "private" else (word,))]
    except ValueError as error:
        raise option.error(f"allow: expected private or an address prefix, found {word!r} ({error})", word) from None
