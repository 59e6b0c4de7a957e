"""A cluster's zone record by record, as secondaries copy it: what queries are answered, but for names without end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydnsk8s import codes, names
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Service, ServiceImport
from pydnsk8s.message import Query, Record
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.plugins.kubernetes import records
from pydnsk8s.plugins.kubernetes.finding import Spot, endpoint_name, exposed, find
from pydnsk8s.plugins.kubernetes.name import Asked, Part
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.servers import name_servers


def zone_records(index: Index, options: Options, zone: bytes, block: ServerBlock) -> Iterator[Record]:
    """The SOA, the name servers and all services of a zone that holds names; the index must not change meanwhile."""
    yield records.soa(zone, options.ttl, index.changed_at)
    servers = name_servers(index, options, zone, block)
    for name, _ in servers:
        yield Record(zone, codes.NS, options.ttl, name)
    own = Query(names.join(b"ns", b"dns", to=zone), codes.A)
    yield from records.renamed((record for _, held in servers for record in held), own)
    for service in index.service_imports() if zone in options.multicluster else index.services():
        if exposed(index, options, service.namespace):
            yield from _of_service(index, options, zone, service)


def _of_service(index: Index, options: Options, zone: bytes, service: Service | ServiceImport) -> Iterator[Record]:
    asked, multicluster = Asked(Part.SERVICE, service.namespace, service.name), zone in options.multicluster
    found = find(index.named(service.namespace, service.name), options, asked, multicluster=multicluster)
    name = records.below(zone, service.name, service.namespace, "svc")
    if found is None or name is None:
        return
    if not found.alias:
        yield from service_records(name, found.spots, options)
        # An imported endpoint has no name without its cluster's.
        yield from endpoint_records(name, [spot for spot in found.spots if spot.cluster or not multicluster], options)
    elif (target := names.parse(found.alias)) != name:
        yield Record(name, codes.CNAME, options.ttl, target)


def service_records(name: bytes, spots: Sequence[Spot], options: Options) -> Iterator[Record]:
    """The addresses of a service, and its ports."""
    for type in (codes.A, codes.AAAA):
        yield from records.addresses(Query(name, type), spots, options.ttl)
    yield from records.services(Query(name, codes.SRV), spots, name, options)[0]
    for port, protocol in dict.fromkeys((port.name, port.protocol) for spot in spots for port in spot.ports):
        at = records.below(name, f"_{port}", f"_{protocol}") if port else None
        if at is not None:
            yield from records.services(Query(at, codes.SRV), _with_port(spots, port, protocol), name, options)[0]


def _with_port(spots: Sequence[Spot], name: str, protocol: str) -> list[Spot]:
    """The spots that have such a port, with nothing but these ports."""
    narrowed = (
        spot._replace(ports=tuple(port for port in spot.ports if (port.name, port.protocol) == (name, protocol)))
        for spot in spots
    )
    return [spot for spot in narrowed if spot.ports]


def endpoint_records(service: bytes, spots: Sequence[Spot], options: Options) -> Iterator[Record]:
    """The addresses of a headless service's endpoints under their own names, each once."""
    held: dict[Record, None] = {}
    for spot in spots:
        if spot.endpoint is not None:
            label = endpoint_name(spot.endpoint, pod_names=options.pod_names)
            name = records.below(service, *filter(None, (label, spot.cluster)))
            if name is not None:
                held[records.address(name, spot.address, options.ttl)] = None
    yield from held
