"""What the cluster answers to a question; every reply is kept until what it was read from changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydnsk8s import codes, names, rdata
from pydnsk8s.keep import Keep
from pydnsk8s.kube.index import SYNCED, ZONE, Index
from pydnsk8s.kube.named import Named
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, ServerBlock
from pydnsk8s.plugins.kubernetes import records
from pydnsk8s.plugins.kubernetes.finding import endpoint_name, exposed, find
from pydnsk8s.plugins.kubernetes.name import Asked, Part, bare, pod_address, take_apart, word, words_of
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.servers import name_servers

_PLUGIN = "kubernetes"
_SVC, _POD = b"\x03svc", b"\x03pod"
_VERSION = b"1.1.0"  # of the Kubernetes DNS specification
_VERSION_TTL = 28_800


class Alias(NamedTuple):
    """An ExternalName service's CNAME, and how long it holds."""

    record: Record
    keep: Keep

    @property
    def reply(self) -> Reply:
        """The CNAME alone."""
        return Reply(answer=(self.record,), keep=self.keep, plugin=_PLUGIN)


class Answers:
    """Answers from an index."""

    def __init__(self, index: Index, options: Options, block: ServerBlock) -> None:
        self._index = index
        self._options = options
        self._block = block

    def find(self, query: Query) -> Reply | Alias | Keep:
        """The reply; for the rest of the chain to answer, how long that is so."""
        cut = names.cut(query.name, self._options.zones)
        if cut is None or query.klass != codes.IN:
            return HAND_ON
        zone, starts = cut
        if query.type in (codes.AXFR, codes.IXFR):
            # Whoever may have the whole zone is for `transfer` to say.
            return Reply(codes.REFUSED, authoritative=False, plugin=_PLUGIN)
        if not self._index.synced:
            # Neither a false NXDOMAIN nor a cluster's name sent to somebody else's server.
            error, keep = "the cluster is not known yet", self._index.keep(SYNCED)
            return Reply(codes.SERVFAIL, authority=(self._soa(zone),), keep=keep, plugin=_PLUGIN, error=error)
        reverse = names.is_reverse(zone)
        outcome = self._look_up_address(query, zone) if reverse else self._look_up(query, zone, starts)
        if not isinstance(outcome, Keep) or self._options.fall.through(query.name):
            return outcome
        return Reply(codes.NXDOMAIN, authority=(self._soa(zone),), keep=outcome, plugin=_PLUGIN)

    def _look_up(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Alias | Keep:
        """The reply for a name that exists; for one that does not, how long that is known."""
        if len(starts) > 2:
            kind = query.name[starts[-1] : len(query.name) - len(zone)]
            if kind == _SVC:
                return self._look_up_service(query, zone, starts)
            return self._look_up_pod(query, zone, starts) if kind == _POD else self._index.keep(SYNCED)
        asked = self.asked(query.name, zone)
        match asked.part:
            case Part.APEX:
                return self._apex(query, zone)
            case Part.SERVER:
                addresses = [record for _, held in self._servers(zone) for record in held]
                return self._data(query, zone, records.renamed(addresses, query), self._index.keep(ZONE))
            case Part.VERSION:
                version = Record(query.name, codes.TXT, _VERSION_TTL, rdata.txt(_VERSION))
                return self._data(query, zone, (version,), self._index.keep(SYNCED))
            case Part.BRANCH:
                return self._data(query, zone, (), self._index.keep(SYNCED))
            case Part.NAMESPACE:
                exists = self._exposes(asked.namespace)
            case Part.POD_NAMESPACE:
                exists = self._options.pods != "disabled" and self._exposes(asked.namespace)
            case _:
                return self._index.keep(SYNCED)
        keep = self._index.keep(("namespace", asked.namespace))
        return self._data(query, zone, (), keep) if exists else keep

    def _look_up_service(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Alias | Keep:
        name = query.name
        first, middle, end = starts[-3:]
        namespace = self._namespace(name[middle:end])
        if namespace is None:
            return self._index.keep(("namespace", word(name, middle)))
        held = self._index.names.at(name[first:end])
        if held is None:
            absent = self._index.stamp(("service", word(name, middle), word(name, first)))
            return Keep(stamps=frozenset((namespace.stamp, absent)))
        keep = Keep(stamps=frozenset((namespace.stamp, held.stamp)))
        if not first and query.type in records.OCTETS and (addresses := self._addresses(held, zone)):
            # Most questions by far need no more than this.
            answer = records.of_addresses(query, addresses, self._options.ttl)
            return Reply(answer=answer, keep=keep, plugin=_PLUGIN) if answer else self._no_data(zone, keep)
        asked = self._asked_of_service(query, zone, starts)
        multicluster = zone in self._options.multicluster
        found = None if asked.part is Part.NOTHING else find(held, self._options, asked, multicluster=multicluster)
        if found is None:
            return keep
        if found.alias:
            return self._alias(query, zone, found.alias, keep)
        if query.type == codes.SRV:
            answer, additional = records.services(query, found.spots, name[first:], self._options)
        else:
            answer, additional = records.addresses(query, found.spots, self._options.ttl), []
        if not answer:
            return self._no_data(zone, keep)
        return Reply(answer=answer, additional=additional, keep=keep, plugin=_PLUGIN)

    def _asked_of_service(self, query: Query, zone: bytes, starts: Sequence[int]) -> Asked:
        """What is asked of a service; its own labels need not be told again."""
        left = len(starts) - 3
        if zone in self._options.multicluster or left > 2 or (left == 2 and self._options.zonal):
            return self.asked(query.name, zone)
        words = [word(query.name, at) for at in starts[:left]]
        if left == 2:
            return Asked(Part.SERVICE, port=bare(words[0]), protocol=bare(words[1]))
        return Asked(Part.SERVICE, endpoint=words[0] if words else "")

    def _addresses(self, held: Named, zone: bytes) -> Sequence[bytes]:
        """The addresses of a plain service; none if there is more to it."""
        service = held.service
        if service is None or zone in self._options.multicluster or service.type == "ExternalName":
            return ()
        if service.headless:
            return [endpoint.address for held in held.slices(service.name) for endpoint in held.endpoints]
        return () if self._options.ignore_empty else service.cluster_ips

    def _namespace(self, path: bytes) -> Named | None:
        """The namespace of this path if it exists and is one of those served."""
        served = self._options.namespaces
        return self._index.names.at(path) if not served or path[1:].decode("latin-1") in served else None

    def _alias(self, query: Query, zone: bytes, alias: str, keep: Keep) -> Reply | Alias:
        """What an ExternalName service gives: its CNAME, or what stands behind it for who wants data."""
        target = names.parse(alias)
        if target == query.name or query.type not in (codes.A, codes.AAAA, codes.CNAME, codes.TXT):
            return self._data(query, zone, (), keep)
        record = Record(query.name, codes.CNAME, self._options.ttl, target)
        if query.type == codes.CNAME:
            return Reply(answer=(record,), keep=keep, plugin=_PLUGIN)
        return Alias(record, keep)

    def _look_up_pod(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Keep:
        first, middle, end = starts[-3:]
        address = None if first or self._options.pods == "disabled" else pod_address(word(query.name, 0))
        if address is None:
            return self._index.keep(SYNCED)
        namespace = self._namespace(query.name[middle:end])
        if namespace is None:
            return self._index.keep(("namespace", word(query.name, middle)))
        keep = Keep(stamps=frozenset((namespace.stamp,)))
        if self._options.pods == "verified":
            keep &= self._index.keep(("ip", address))
            within = word(query.name, middle)
            if not any(pod.namespace == within for pod in self._index.pods_at(address)):
                return keep
        if records.OCTETS.get(query.type) != len(address):
            return self._no_data(zone, keep)
        answer = (Record(query.name, query.type, self._options.ttl, address),)
        return Reply(answer=answer, keep=keep, plugin=_PLUGIN)

    def _look_up_address(self, query: Query, zone: bytes) -> Reply | Keep:
        """The reply for a reverse name that exists; for one that does not, how long that is known."""
        if query.name == zone:
            return self._apex(query, zone)
        address = names.address(query.name)
        if address is None:
            network = names.network(query.name)
            if network is None:
                return self._index.keep(SYNCED)
            keep = self._index.keep(("below", network))
            # RFC 8020 section 2: a name with others below it exists.
            return self._data(query, zone, (), keep) if self._index.has_addresses_below(network) else keep
        # What a reverse lookup shows: the one service with this address, else every endpoint there.
        owners = [(namespace, (name,)) for namespace, name in self._index.services_at(address)]
        behind = [
            (namespace, (endpoint_name(endpoint, pod_names=self._options.pod_names), name))
            for namespace, name, endpoint in self._index.endpoints_at(address)
        ]
        keep = self._index.keep(("ip", address), *{("namespace", namespace) for namespace, _ in (*owners, *behind)})
        targets = self._names_of(owners)[:1] or self._names_of(behind)
        pointers = [Record(query.name, codes.PTR, self._options.ttl, target) for target in targets]
        return self._data(query, zone, pointers, keep) if pointers else keep

    def _names_of(self, held: Iterable[tuple[str, tuple[str, ...]]]) -> list[bytes]:
        """The names of what has these labels in these namespaces, each once, where they are served."""
        shown = [
            records.below(self._options.primary, *labels, namespace, "svc")
            for namespace, labels in held
            if self._exposes(namespace)
        ]
        return [name for name in dict.fromkeys(shown) if name]

    def _apex(self, query: Query, zone: bytes) -> Reply:
        keep = self._index.keep(ZONE)
        if query.type == codes.NS:
            servers = self._servers(zone)
            answer = [Record(zone, codes.NS, self._options.ttl, name) for name, _ in servers]
            return self._data(query, zone, answer, keep, [record for _, held in servers for record in held])
        return self._data(query, zone, (self._soa(zone),), keep)

    def _soa(self, zone: bytes) -> Record:
        return records.soa(zone, self._options.ttl, self._index.changed_at)

    def _servers(self, zone: bytes) -> list[tuple[bytes, list[Record]]]:
        return name_servers(self._index, self._options, zone, self._block)

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
            return Reply(answer=fitting, additional=additional, keep=keep, plugin=_PLUGIN)
        return self._no_data(zone, keep)

    def _no_data(self, zone: bytes, keep: Keep) -> Reply:
        # RFC 2308 section 2.2: NODATA shows the SOA.
        return Reply(authority=(self._soa(zone),), keep=keep, plugin=_PLUGIN)

    def asked(self, name: bytes, zone: bytes) -> Asked:
        multicluster = zone in self._options.multicluster
        zonal = self._options.zonal and not multicluster
        return take_apart(words_of(name, zone), multicluster=multicluster, zonal=zonal)

    def _exposes(self, namespace: str) -> bool:
        return exposed(self._index, self._options, namespace)
