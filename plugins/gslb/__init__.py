"""gslb - answers a name with the addresses of those clusters that are healthy, the best ones for who asks."""

from __future__ import annotations

import asyncio
from typing import Self

from pydnsk8s import codes, metrics, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Query, Record, Reply, Tally
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock, Turn

from .checks import address_text
from .health import State
from .origins import local_name
from .reading import Reading
from .service import Service, address_record

_TIMERS = (7200, 1800, 86_400)  # refresh, retry and expire of the SOA, in seconds; nobody transfers these zones
_STATES = {State.UNKNOWN: -1, State.DOWN: 0, State.UP: 1}
_HEALTH = metrics.gauge(
    "coredns_gslb_target_health", "1 for a target that is up, 0 for down, -1 for unknown.", "name", "cluster", "target"
)
_HEALTHY = metrics.gauge(
    "coredns_gslb_cluster_healthy_targets", "Targets of a cluster that can be answered.", "name", "cluster"
)
_REPLIES = metrics.counter("coredns_gslb_replies_total", "Replies with addresses.", "name", "strategy")


class Gslb(Plugin):
    """Answers for its names and, where it has name servers to tell, for whole zones of them."""

    name = "gslb"
    before = "k8s_external"

    def __init__(self) -> None:
        self.services: dict[bytes, Service] = {}
        self.servers: dict[bytes, dict[bytes, list[bytes]]] = {}
        """The zones with name servers of their own, and the addresses of these."""
        self._ttls: dict[bytes, int] = {}
        self._locals: dict[bytes, Service] = {}
        """The services whose healthy addresses here are told, by the name they are told under."""
        self._zones: dict[bytes, Record] = {}
        """Each zone with its SOA; a name inside of no other zone is one of its own."""
        self._known: frozenset[bytes] = frozenset()
        """The names that exist, those among them that only have names below."""
        self._shown: set[tuple[str, str, str]] = set()

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        self = block.find(cls) or cls()
        reading = Reading(directive, block)
        service = reading.service
        if service.name in self._ttls:
            raise directive.error(f"gslb: {names.text(service.name)} is defined in this block already")
        self._ttls[service.name] = service.ttl
        if service.clusters:
            self.services[service.name] = service
        if service.own is not None:
            self._locals[local_name(service.name)] = service
        if reading.servers:
            self.servers[service.name] = reading.servers
        self._draw_borders()
        return self

    def _draw_borders(self) -> None:
        """Work out which zones there are, and which names exist in them."""
        ttls = {zone: self._ttls[zone] for zone in self.servers}
        for name, service in (*self.services.items(), *self._locals.items()):
            if names.closest(name, tuple(self.servers)) is None:
                ttls[name] = service.ttl
        self._zones = {zone: self._soa(zone, ttl) for zone, ttl in ttls.items()}
        addressed = [server for held in self.servers.values() for server, addresses in held.items() if addresses]
        held = (*self.services, *self._locals, *ttls, *addressed)
        self._known = frozenset(parent for name in held for parent in names.suffixes(name))

    def _soa(self, zone: bytes, ttl: int) -> Record:
        primary, mailbox = next(iter(self.servers.get(zone, (zone,)))), names.join(b"hostmaster", to=zone)
        # RFC 2308 section 5: denials are believed for as long as the least of the SOA's TTL and its last field says.
        return Record(zone, codes.SOA, ttl, rdata.soa(primary, mailbox, 1, timers=(*_TIMERS, ttl)))

    async def start(self) -> None:
        metrics.before_scrape.append(self._measure)
        await asyncio.gather(*(service.start() for service in self.services.values()))

    async def stop(self) -> None:
        metrics.before_scrape.remove(self._measure)
        self._show({})
        for name, service in self.services.items():
            for cluster in service.clusters:
                _HEALTHY.remove(names.text(name), cluster.tag)
        await asyncio.gather(*(service.stop() for service in self.services.values()))

    def ready(self) -> bool:
        return all(service.ready() for service in self.services.values())

    def passes(self, zone: bytes) -> Keep | None:
        return HAND_ON if names.are_apart(zone, self._zones) else None

    def at_once(self, query: Query) -> Turn:
        zone = next((suffix for suffix in names.suffixes(query.name) if suffix in self._zones), None)
        if zone is None or query.klass != codes.IN:
            return HAND_ON
        found, keep = self._addresses(query)
        if query.name == zone:
            found += [record for record in self._apex(zone) if query.type in (record.type, codes.ANY)]
        if not found:
            rcode = codes.NOERROR if query.name in self._known else codes.NXDOMAIN
            return Reply(rcode, authority=(self._zones[zone],), keep=keep, plugin=self.name)
        glue = self._glue(zone) if query.type == codes.NS else []
        tallies: tuple[Tally, ...] = ()
        if (service := self.services.get(query.name)) is not None:
            tallies = (_REPLIES.labels(names.text(service.name), service.strategy),)
        return Reply(answer=found, additional=glue, keep=keep, tallies=tallies, plugin=self.name)

    def _addresses(self, query: Query) -> tuple[list[Record], Keep]:
        """The addresses that the name has for this client, of the type asked for."""
        if query.type not in (codes.A, codes.AAAA, codes.ANY):
            return [], ALWAYS
        if (service := self.services.get(query.name)) is not None:
            return service.answer(query)
        if (service := self._locals.get(query.name)) is not None:
            return service.local(query)
        for zone in self.servers:
            found = [
                record
                for record in self._glue(zone)
                if record.name == query.name and query.type in (record.type, codes.ANY)
            ]
            if found:
                return found, ALWAYS
        return [], ALWAYS

    def _apex(self, zone: bytes) -> list[Record]:
        """What the zone itself has besides addresses."""
        soa = self._zones[zone]
        return [soa, *(Record(zone, codes.NS, soa.ttl, server) for server in self.servers.get(zone, ()))]

    def _glue(self, zone: bytes) -> list[Record]:
        """The addresses of the zone's name servers."""
        return [
            address_record(server, self._ttls[zone], address)
            for server, addresses in self.servers.get(zone, {}).items()
            for address in addresses
        ]

    async def explain(self, query: Query) -> list[str]:
        """Why each address is in the answer or not, after a first look at everything."""
        service = self.services.get(query.name) or self._locals.get(query.name)
        if service is None:
            return []
        await service.settle()
        return list(service.story(query))

    def _measure(self) -> None:
        """Show Prometheus how things stand."""
        shown: dict[tuple[str, str, str], State] = {}
        for name, service in self.services.items():
            for cluster in service.clusters:
                _HEALTHY.labels(names.text(name), cluster.tag).set(len(cluster.healthy))
                for address, state in cluster.states():
                    shown[names.text(name), cluster.tag, address_text(address)] = state
        self._show(shown)

    def _show(self, shown: dict[tuple[str, str, str], State]) -> None:
        for gone in self._shown - shown.keys():
            _HEALTH.remove(*gone)
        for labels, state in shown.items():
            _HEALTH.labels(*labels).set(_STATES[state])
        self._shown = set(shown)
