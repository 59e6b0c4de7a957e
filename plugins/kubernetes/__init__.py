"""kubernetes - answers for a cluster's services, endpoints and pods from its objects in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from pydnsk8s import codes, log, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.kube import sync
from pydnsk8s.kube.index import SYNCED, ZONE, Index
from pydnsk8s.kube.named import Named
from pydnsk8s.kube.source import Source, SourceError
from pydnsk8s.message import Labels, Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.plugins.kubernetes import records
from pydnsk8s.plugins.kubernetes.finding import endpoint_name, exposed, find
from pydnsk8s.plugins.kubernetes.labels import labels_of
from pydnsk8s.plugins.kubernetes.name import Asked, Part, pod_address, take_apart, word, words_of
from pydnsk8s.plugins.kubernetes.options import Options, is_reverse, read
from pydnsk8s.plugins.kubernetes.servers import name_servers
from pydnsk8s.plugins.kubernetes.transfer import zone_records

_log = log.plugin("kubernetes")
_SVC, _POD = b"\x03svc", b"\x03pod"
_VERSION = b"1.1.0"  # of the Kubernetes DNS specification
_VERSION_TTL = 28_800


class Alias(NamedTuple):
    """An ExternalName service's CNAME, and how long it holds."""

    record: Record
    keep: Keep


class Kubernetes(Plugin):
    """Answers from an index that lists and watches fill; every reply is kept until what it was read from changes."""

    name = "kubernetes"
    once = True

    def __init__(self, options: Options, block: ServerBlock) -> None:
        self.options = options
        self.index = Index(options.kinds, namespaces=options.namespaces)
        self._block = block
        self._reverse = frozenset(zone for zone in options.zones if is_reverse(zone))
        self._source: Source | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls(read(directive, block), block)

    def inherit(self, old: Self) -> bool:
        """Go on with the index and the watches there are."""
        # The words are the same, but the files they name may be others: `root` has a say in that.
        if old._source is None or old.options != self.options:
            return False
        self.index, self._source = old.index, old._source
        return True

    async def start(self) -> None:
        if self._source is None:
            try:
                self._source = await asyncio.to_thread(_open, self.options)  # a login command may take its time
                await self._source.start(self.index)
            except SourceError as error:
                raise StartError(f"plugin/kubernetes: {error}") from error
        if not await sync.first(self.index, self.options.startup_timeout, _tell_of_waiting):
            _log.warning("starting server with unsynced Kubernetes API")

    async def stop(self) -> None:
        if self._source is not None:
            await self._source.stop()

    def ready(self) -> bool:
        return self.index.synced

    def labels(self, query: Query) -> Labels:
        """Metadata about the name asked for, and about the pod that asks."""
        zone = names.closest(query.name, self.options.zones)
        if zone is None:
            return {}
        return labels_of(query, None if zone in self._reverse else self._asked(query, zone), self.index)

    def transfer(self, zone: bytes) -> Iterator[Record] | None:
        """The records of a zone, for secondaries; reverse zones are not copied."""
        if zone not in self.options.zones or zone in self._reverse:
            return None
        return zone_records(self.index.copy(), self.options, zone, self._block) if self.index.synced else iter(())

    def at_once(self, query: Query) -> Turn:
        found = self._find(query)
        return WAIT if isinstance(found, Alias) else found

    async def answer(self, query: Query, rest: Rest) -> Reply:
        found = self._find(query)
        if isinstance(found, Alias):
            return await query.follow(Reply(answer=(found.record,), keep=found.keep, plugin=self.name))
        return found if isinstance(found, Reply) else (await rest(query)).under(found)

    def _find(self, query: Query) -> Reply | Alias | Keep:
        """The reply; for the rest of the chain to answer, how long that is so."""
        cut = names.cut(query.name, self.options.zones)
        if cut is None:
            return HAND_ON
        zone, starts = cut
        if query.type in (codes.AXFR, codes.IXFR):
            # Whoever may have the whole zone is for `transfer` to say.
            return Reply(codes.REFUSED, authoritative=False, plugin=self.name)
        if not self.index.synced:
            # Neither a false NXDOMAIN nor a cluster's name sent to somebody else's server.
            error = "the cluster is not known yet"
            return Reply(codes.SERVFAIL, authority=(self._soa(zone),), plugin=self.name, error=error)
        outcome = self._look_up_address(query, zone) if zone in self._reverse else self._look_up(query, zone, starts)
        if not isinstance(outcome, Keep) or self.options.fall.through(query.name):
            return outcome
        return Reply(codes.NXDOMAIN, authority=(self._soa(zone),), keep=outcome, plugin=self.name)

    def _look_up(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Alias | Keep:
        """The reply for a name that exists; for one that does not, how long that is known."""
        if len(starts) > 2:
            kind = query.name[starts[-1] : len(query.name) - len(zone)]
            if kind == _SVC:
                return self._look_up_service(query, zone, starts)
            return self._look_up_pod(query, zone, starts) if kind == _POD else self.index.keep(SYNCED)
        asked = self._asked(query, zone)
        match asked.part:
            case Part.APEX:
                return self._apex(query, zone)
            case Part.SERVER:
                addresses = [record for _, held in self._servers(zone) for record in held]
                return self._data(query, zone, records.renamed(addresses, query), self.index.keep(ZONE))
            case Part.VERSION:
                version = Record(query.name, codes.TXT, _VERSION_TTL, rdata.txt(_VERSION))
                return self._data(query, zone, (version,), self.index.keep(SYNCED))
            case Part.BRANCH:
                return self._data(query, zone, (), self.index.keep(SYNCED))
            case Part.NAMESPACE:
                exists = self._exposes(asked.namespace)
            case Part.POD_NAMESPACE:
                exists = self.options.pods != "disabled" and self._exposes(asked.namespace)
            case _:
                return self.index.keep(SYNCED)
        keep = self.index.keep(("namespace", asked.namespace))
        return self._data(query, zone, (), keep) if exists else keep

    def _look_up_service(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Alias | Keep:
        name = query.name
        first, middle, end = starts[-3:]
        namespace = self._namespace(name[middle:end])
        if namespace is None:
            return self.index.keep(("namespace", word(name, middle)))
        held = self.index.names.at(name[first:end])
        if held is None:
            absent = self.index.stamp(("service", word(name, middle), word(name, first)))
            return Keep(stamps=frozenset((namespace, absent)))
        keep = Keep(stamps=frozenset((namespace, held)))
        if not first and query.type in records.OCTETS and (addresses := self._addresses(held, zone)):
            # Most questions by far need no more than this.
            answer = records.of_addresses(query, addresses, self.options.ttl)
            return Reply(answer=answer, keep=keep, plugin=self.name) if answer else self._no_data(zone, keep)
        asked = self._asked(query, zone)
        multicluster = zone in self.options.multicluster
        found = None if asked.part is Part.NOTHING else find(held, self.options, asked, multicluster=multicluster)
        if found is None:
            return keep
        if found.alias:
            return self._alias(query, zone, found.alias, keep)
        if query.type != codes.SRV:
            return self._data(query, zone, records.addresses(query, found.spots, self.options.ttl), keep)
        answer, additional = records.services(query, found.spots, name[first:], self.options)
        return self._data(query, zone, answer, keep, additional)

    def _addresses(self, held: Named, zone: bytes) -> Sequence[bytes]:
        """The addresses of a plain service; none if there is more to it."""
        service = held.service
        if service is None or zone in self.options.multicluster or service.type == "ExternalName":
            return ()
        if service.headless:
            return [endpoint.address for held in held.slices(service.name) for endpoint in held.endpoints]
        return () if self.options.ignore_empty else service.cluster_ips

    def _namespace(self, path: bytes) -> Named | None:
        """The namespace of this path if it exists and is one of those served."""
        served = self.options.namespaces
        return self.index.names.at(path) if not served or path[1:].decode("latin-1") in served else None

    def _alias(self, query: Query, zone: bytes, alias: str, keep: Keep) -> Reply | Alias:
        """What an ExternalName service gives: its CNAME, or what stands behind it for who wants data."""
        target = names.parse(alias)
        if target == query.name or query.type not in (codes.A, codes.AAAA, codes.CNAME, codes.TXT):
            return self._data(query, zone, (), keep)
        record = Record(query.name, codes.CNAME, self.options.ttl, target)
        if query.type == codes.CNAME:
            return Reply(answer=(record,), keep=keep, plugin=self.name)
        return Alias(record, keep)

    def _look_up_pod(self, query: Query, zone: bytes, starts: Sequence[int]) -> Reply | Keep:
        first, middle, end = starts[-3:]
        address = None if first or self.options.pods == "disabled" else pod_address(word(query.name, 0))
        if address is None:
            return self.index.keep(SYNCED)
        namespace = self._namespace(query.name[middle:end])
        if namespace is None:
            return self.index.keep(("namespace", word(query.name, middle)))
        keep = Keep(stamps=frozenset((namespace,)))
        if self.options.pods == "verified":
            keep &= self.index.keep(("ip", address))
            within = word(query.name, middle)
            if not any(pod.namespace == within for pod in self.index.pods_at(address)):
                return keep
        if records.OCTETS.get(query.type) != len(address):
            return self._no_data(zone, keep)
        answer = (Record(query.name, query.type, self.options.ttl, address),)
        return Reply(answer=answer, keep=keep, plugin=self.name)

    def _look_up_address(self, query: Query, zone: bytes) -> Reply | Keep:
        """The reply for a reverse name that exists; for one that does not, how long that is known."""
        if query.name == zone:
            return self._apex(query, zone)
        address = names.address(query.name)
        if address is None:
            network = names.network(query.name)
            if network is None:
                return self.index.keep(SYNCED)
            keep = self.index.keep(("below", network))
            # RFC 8020 section 2: a name with others below it exists.
            return self._data(query, zone, (), keep) if self.index.has_addresses_below(network) else keep
        # What a reverse lookup shows: the one service with this address, else every endpoint there.
        owners = [(namespace, (name,)) for namespace, name in self.index.services_at(address)]
        behind = [
            (namespace, (endpoint_name(endpoint, pod_names=self.options.pod_names), name))
            for namespace, name, endpoint in self.index.endpoints_at(address)
        ]
        keep = self.index.keep(("ip", address), *{("namespace", namespace) for namespace, _ in (*owners, *behind)})
        targets = self._names_of(owners)[:1] or self._names_of(behind)
        pointers = [Record(query.name, codes.PTR, self.options.ttl, target) for target in targets]
        return self._data(query, zone, pointers, keep) if pointers else keep

    def _names_of(self, held: Iterable[tuple[str, tuple[str, ...]]]) -> list[bytes]:
        """The names of what has these labels in these namespaces, each once, where they are served."""
        shown = [
            records.below(self.options.primary, *labels, namespace, "svc")
            for namespace, labels in held
            if self._exposes(namespace)
        ]
        return [name for name in dict.fromkeys(shown) if name]

    def _apex(self, query: Query, zone: bytes) -> Reply:
        keep = self.index.keep(ZONE)
        if query.type == codes.NS:
            servers = self._servers(zone)
            answer = [Record(zone, codes.NS, self.options.ttl, name) for name, _ in servers]
            return self._data(query, zone, answer, keep, [record for _, held in servers for record in held])
        return self._data(query, zone, (self._soa(zone),), keep)

    def _soa(self, zone: bytes) -> Record:
        return records.soa(zone, self.options.ttl, self.index.changed_at)

    def _servers(self, zone: bytes) -> list[tuple[bytes, list[Record]]]:
        return name_servers(self.index, self.options, zone, self._block)

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
        return self._no_data(zone, keep)

    def _no_data(self, zone: bytes, keep: Keep) -> Reply:
        # RFC 2308 section 2.2: NODATA shows the SOA.
        return Reply(authority=(self._soa(zone),), keep=keep, plugin=self.name)

    def _asked(self, query: Query, zone: bytes) -> Asked:
        multicluster = zone in self.options.multicluster
        zonal = self.options.zonal and not multicluster
        return take_apart(words_of(query.name, zone), multicluster=multicluster, zonal=zonal)

    def _exposes(self, namespace: str) -> bool:
        return exposed(self.index, self.options, namespace)


def _tell_of_waiting() -> None:
    _log.info("waiting for Kubernetes API before starting server")


def _open(options: Options) -> Source:
    # Imported where it is used: HTTPS and YAML take 40 ms and 6 MB each that the other one need not pay.
    if options.manifests:
        from pydnsk8s.kube.manifests import Manifests

        return Manifests(options.manifests, options.kinds)
    from pydnsk8s.kube.access import Access
    from pydnsk8s.kube.api import Api

    if options.kubeconfig is not None:
        access = Access.kubeconfig(options.kubeconfig, options.context)
    elif options.endpoint:
        access = Access.endpoint(options.endpoint, *(str(file) if file else None for file in options.certificates))
    else:
        access = Access.in_cluster()
    return Api(
        access,
        options.kinds,
        namespaces=options.namespaces,
        labels=options.labels,
        namespace_labels=options.namespace_labels,
    )
