"""k8s_external - names for what of a cluster can be reached from outside, beside a kubernetes of the same block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Self

from pydnsk8s import codes, names, rdata
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.keep import Keep
from pydnsk8s.kube.index import SYNCED, ZONE, Index, Key
from pydnsk8s.kube.objects import Service
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, NOWHERE, WAIT, Fall, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.plugins.k8s_external.outside import Face, at_host, below, face, face_records
from pydnsk8s.plugins.kubernetes import Kubernetes, records
from pydnsk8s.plugins.kubernetes.finding import endpoint_name, exposed
from pydnsk8s.plugins.kubernetes.name import words_of
from pydnsk8s.plugins.kubernetes.options import Options

_TIMERS = (7200, 1800, 86_400)  # refresh, retry and expire, in seconds, as CoreDNS has them
_USAGE = {"apex": "apex LABEL", "ttl": "ttl SECONDS", "headless": "headless", "fallthrough": "fallthrough [ZONES...]"}


class K8sExternal(Plugin):
    """Answers from the index of ``kubernetes``; every reply is kept until what it was read from changes."""

    name = "k8s_external"
    _cluster: Kubernetes
    _options: Options

    def __init__(self, zones: tuple[bytes, ...], block: ServerBlock) -> None:
        self.zones = zones
        self.apex = "dns"
        """The label below which the zone's name server is."""
        self.ttl = 5
        self.headless = False
        """Whether headless services are reachable at their endpoints."""
        self.fall = NOWHERE
        self._home = next(zone for zone in zones if not names.is_reverse(zone))
        self._block = block

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        zones = directive.zones(directive.args) or block.zones
        if all(names.is_reverse(zone) for zone in zones):
            raise directive.error(
                "a zone that holds names is needed, not only reverse zones", hint="k8s_external example.org"
            )
        external = cls(zones, block)
        for option in directive.options:
            match option.words:
                case ["apex", label]:
                    external.apex = _label(option, label)
                case ["ttl", seconds]:
                    external.ttl = option.number(seconds, 0, 3600)
                case ["headless"]:
                    external.headless = True
                case ["fallthrough", *zones_]:
                    external.fall = Fall(option.zones(zones_) or (names.ROOT,))
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        return external

    async def start(self) -> None:
        # It stands behind us in the chain, so it could not be looked for any earlier.
        cluster = self._block.find(Kubernetes)
        if cluster is None:
            raise StartError("plugin/k8s_external: the server block needs the kubernetes plugin, too")
        self._cluster, self._options = cluster, replace(cluster.options, ttl=self.ttl)

    @property
    def _index(self) -> Index:
        # Not taken down at the start: kubernetes may go on with the index of its predecessor.
        return self._cluster.index

    def transfer(self, zone: bytes) -> Iterator[Record] | None:
        """The records of a zone, for secondaries; reverse zones are not copied."""
        if zone not in self.zones or names.is_reverse(zone):
            return None
        return self._records(zone, self._index.copy()) if self._index.synced else iter(())

    def _records(self, zone: bytes, index: Index) -> Iterator[Record]:
        yield self._soa(zone, index)
        yield self._ns(zone)
        yield from self._glue(zone, index)
        for service in index.services():
            whole = self._face(service, index)
            name = records.below(zone, service.name, service.namespace)
            if whole is not None and name is not None and service.namespace != self.apex:
                yield from face_records(name, whole, self._options)

    def passes(self, zone: bytes) -> Keep | None:
        return HAND_ON if names.are_apart(zone, self.zones) else None

    def at_once(self, query: Query) -> Turn:
        found = self._find(query)
        if isinstance(found, Keep) or not _is_alias(found, query):
            return found
        return query.follow_at_once(found) or WAIT

    async def answer(self, query: Query, rest: Rest) -> Reply:
        found = self._find(query)
        if isinstance(found, Keep):
            return (await rest(query)).under(found)
        return await query.follow(found) if _is_alias(found, query) else found

    def _find(self, query: Query) -> Reply | Keep:
        """The reply; for the rest of the chain to answer, how long that is so."""
        zone = names.closest(query.name, self.zones)
        if zone is None or query.klass != codes.IN:
            return HAND_ON
        if query.type in (codes.AXFR, codes.IXFR):
            # Whoever may have the whole zone is for `transfer` to say.
            return Reply(codes.REFUSED, authoritative=False, plugin=self.name)
        if not self._index.synced:
            # Never a false NXDOMAIN, whoever might be asked instead.
            error, keep = "the cluster is not known yet", self._index.keep(SYNCED)
            soa = self._soa(zone, self._index)
            return Reply(codes.SERVFAIL, authority=(soa,), keep=keep, plugin=self.name, error=error)
        outcome = self._look_up_address(query, zone) if names.is_reverse(zone) else self._look_up(query, zone)
        if isinstance(outcome, Reply) or self.fall.through(query.name):
            return outcome
        soa = self._soa(zone, self._index)
        return Reply(codes.NXDOMAIN, authority=(soa,), keep=outcome, plugin=self.name)

    def _look_up(self, query: Query, zone: bytes) -> Reply | Keep:
        """The reply for a name that exists; for one that does not, how long that is known."""
        words = words_of(query.name, zone)
        match words:
            case ():
                return self._at_apex(query, zone)
            case (self.apex,):
                return self._data(query, zone, (), self._index.keep(SYNCED))
            case ("ns1", self.apex):
                return self._data(query, zone, self._glue(zone, self._index), self._index.keep(ZONE))
            case (*_, self.apex):
                return self._index.keep(SYNCED)
            case (*_, namespace) if not exposed(self._index, self._options, namespace):
                return self._index.keep(("namespace", namespace))
            case (namespace,):
                return self._data(query, zone, (), self._index.keep(("namespace", namespace)))
        return self._look_up_service(query, zone, words)

    def _look_up_service(self, query: Query, zone: bytes, words: tuple[str, ...]) -> Reply | Keep:
        *left, name, namespace = words
        keep = self._index.keep(("namespace", namespace), ("service", namespace, name))
        service = self._index.service(namespace, name)
        whole = self._face(service, self._index) if service is not None else None
        found = below(whole, tuple(left), self._options) if whole is not None else None
        if found is None:
            return keep
        if found.host and not (left or query.type == codes.SRV or found.host == query.name):
            return Reply(answer=(Record(query.name, codes.CNAME, self.ttl, found.host),), keep=keep, plugin=self.name)
        if found.host:
            # SRV is answered beside the alias (as CoreDNS does).
            return self._data(query, zone, at_host(query, found, self._options), keep)
        if query.type != codes.SRV:
            return self._data(query, zone, records.addresses(query, found.spots, self.ttl), keep)
        own = names.join(name.encode("latin-1"), namespace.encode("latin-1"), to=zone)
        answer, additional = records.services(query, found.spots, own, self._options)
        return self._data(query, zone, answer, keep, additional)

    def _face(self, service: Service, index: Index) -> Face | None:
        if not exposed(index, self._options, service.namespace):
            return None
        return face(index, service, headless=self.headless)

    def _look_up_address(self, query: Query, zone: bytes) -> Reply | Keep:
        """The reply for a reverse name that exists; for one that does not, how long that is known."""
        if query.name == zone:
            return self._at_apex(query, zone)
        address = names.address(query.name)
        if address is None:
            network = names.network(query.name)
            if network is None:
                return self._index.keep(SYNCED)
            keep = self._index.keep(("below", network))
            return self._data(query, zone, (), keep) if self._index.has_addresses_below(network) else keep
        keys: set[Key] = {("ip", address)}
        pointers: dict[bytes, Record] = {}
        for labels in self._owners(address, keys):
            target = records.below(self._home, *labels)
            if target is not None:
                pointers[target] = Record(query.name, codes.PTR, self.ttl, target)
        keep = self._index.keep(*keys)
        return self._data(query, zone, list(pointers.values()), keep) if pointers else keep

    def _owners(self, address: bytes, keys: set[Key]) -> Iterator[tuple[str, ...]]:
        """The labels of what is reached at an address; notes under which keys that was looked up."""
        index, options = self._index, self._options
        for namespace, name in index.services_exposed_at(address):
            keys.add(("namespace", namespace))
            if exposed(index, options, namespace) and namespace != self.apex:
                yield name, namespace
        for namespace, name, endpoint in index.endpoints_at(address) if self.headless else ():
            keys |= {("namespace", namespace), ("service", namespace, name)}
            service = index.service(namespace, name)
            whole = self._face(service, index) if service is not None else None
            if whole is not None and namespace != self.apex and any(spot.endpoint == endpoint for spot in whole.spots):
                yield endpoint_name(endpoint, pod_names=options.pod_names), name, namespace

    def _at_apex(self, query: Query, zone: bytes) -> Reply:
        if query.type == codes.NS:
            glue = self._glue(self._home_of(zone), self._index)
            return self._data(query, zone, (self._ns(zone),), self._index.keep(ZONE), glue)
        return self._data(query, zone, (self._soa(zone, self._index),), self._index.keep(ZONE))

    def _home_of(self, zone: bytes) -> bytes:
        """The zone that the name server of a zone has its name in; reverse zones hold no addresses."""
        return self._home if names.is_reverse(zone) else zone

    def _ns(self, zone: bytes) -> Record:
        return Record(zone, codes.NS, self.ttl, _below_apex(self._home_of(zone), self.apex, b"ns1"))

    def _soa(self, zone: bytes, index: Index) -> Record:
        return _soa(zone, self._home_of(zone), self.apex, self.ttl, index.changed_at)

    def _glue(self, zone: bytes, index: Index) -> list[Record]:
        """Where we are reached: the external addresses of the services we stand behind, else our own."""
        ours = interfaces.reachable(self._block.hosts)
        held: dict[bytes, None] = {}
        for address in ours:
            for namespace, name, _ in index.endpoints_at(address):
                service = index.service(namespace, name)
                if service is not None and exposed(index, self._options, namespace):
                    held |= dict.fromkeys(service.external_ips)
        own = _below_apex(zone, self.apex, b"ns1")
        return [records.address(own, address, self.ttl) for address in held or ours]

    def _data(
        self,
        query: Query,
        zone: bytes,
        answer: list[Record] | tuple[Record, ...],
        keep: Keep,
        additional: list[Record] | tuple[Record, ...] = (),
    ) -> Reply:
        """The reply for a name that exists: its records of the type asked for, or the SOA if there are none."""
        fitting = [record for record in answer if record.type == query.type]
        if fitting:
            return Reply(answer=fitting, additional=additional, keep=keep, plugin=self.name)
        # RFC 2308 section 2.2: NODATA shows the SOA.
        return Reply(authority=(self._soa(zone, self._index),), keep=keep, plugin=self.name)


def _label(option: Option, text: str) -> str:
    labels = names.labels(option.domain(text))
    if len(labels) != 1:
        raise option.error(f"apex: expected one label, found {text!r}", text)
    return labels[0].decode("latin-1")


def _below_apex(zone: bytes, apex: str, label: bytes) -> bytes:
    return names.join(label, apex.encode("latin-1"), to=zone)


@lru_cache(64)
def _soa(zone: bytes, home: bytes, apex: str, ttl: int, serial: int) -> Record:
    server, mailbox = (_below_apex(home, apex, label) for label in (b"ns1", b"hostmaster"))
    return Record(zone, codes.SOA, ttl, rdata.soa(server, mailbox, serial, timers=(*_TIMERS, ttl)))


def _is_alias(reply: Reply, query: Query) -> bool:
    return bool(reply.answer) and reply.answer[0].type == codes.CNAME != query.type
