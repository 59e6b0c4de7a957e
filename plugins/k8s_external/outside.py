"""What of a cluster's services can be reached from outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydnsk8s import codes, names, rdata
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Port, Service
from pydnsk8s.message import Query, Record
from pydnsk8s.plugins.kubernetes import records
from pydnsk8s.plugins.kubernetes.finding import Spot, endpoint_name
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.transfer import endpoint_records, service_records


class Face(NamedTuple):
    """How a service looks from outside: addresses with their ports, or the name of its load balancer."""

    spots: tuple[Spot, ...] = ()
    host: bytes = b""
    ports: tuple[Port, ...] = ()
    """The ports at the load balancer's name."""


_BRANCH = Face()
"""A name with nothing of its own, but with others below it (RFC 8020 section 2)."""


def face(index: Index, service: Service, *, headless: bool) -> Face | None:
    """The whole service; None if it cannot be reached. Headless ones only can if ``headless`` says so."""
    if service.external_ips:
        return Face(tuple(Spot(address, service.ports) for address in service.external_ips))
    if service.external_hosts:
        # A name can have one alias only (RFC 1034 section 3.6.2).
        return Face(host=names.parse(service.external_hosts[0]), ports=service.ports)
    if not (headless and service.headless):
        return None
    spots = tuple(
        Spot(endpoint.address, held.ports, endpoint)
        for held in index.slices(service.namespace, service.name)
        for endpoint in held.endpoints
    )
    return Face(spots) if spots else None


def below(whole: Face, left: tuple[str, ...], options: Options) -> Face | None:
    """What the labels left of a service's name single out; None if there is no such name."""
    match left:
        case ():
            return whole
        case (label,):
            spots = tuple(spot for spot in whole.spots if label == _label(spot, options))
            if spots:
                return Face(spots)
            ports = (*whole.ports, *(port for spot in whole.spots for port in spot.ports))
            return _BRANCH if any(_means(label, port.protocol) for port in ports) else None
        case (name, protocol):
            spots = tuple(
                spot._replace(ports=fitting)
                for spot in whole.spots
                if (fitting := _fitting(spot.ports, name, protocol))
            )
            ports = _fitting(whole.ports, name, protocol)
            return Face(spots, whole.host, ports) if spots or ports else None
    return None


def _label(spot: Spot, options: Options) -> str | None:
    return endpoint_name(spot.endpoint, pod_names=options.pod_names) if spot.endpoint is not None else None


def _fitting(ports: tuple[Port, ...], name: str, protocol: str) -> tuple[Port, ...]:
    return tuple(port for port in ports if _means(name, port.name) and _means(protocol, port.protocol))


def _means(label: str, word: str) -> bool:
    """Whether a label stands for a port's name or protocol: the underscore is optional and alone takes any."""
    return label.removeprefix("_") in ("", word)


def at_host(query: Query, found: Face, options: Options) -> list[Record]:
    """The SRV records that point to a load balancer's name itself: a target must not be an alias (RFC 2782)."""
    numbers = dict.fromkeys(port.number for port in found.ports if port.number)
    weight = max(1, 100 // len(numbers)) if numbers else 0
    return [Record(query.name, codes.SRV, options.ttl, rdata.srv(0, weight, number, found.host)) for number in numbers]


def face_records(name: bytes, whole: Face, options: Options) -> Iterator[Record]:
    """Everything at and below a service's name, as secondaries copy it: an alias stands alone."""
    if not whole.host:
        yield from service_records(name, whole.spots, options)
        yield from endpoint_records(name, whole.spots, options)
        return
    if whole.host != name:
        yield Record(name, codes.CNAME, options.ttl, whole.host)
    else:
        yield from at_host(Query(name, codes.SRV), whole, options)
    for port, protocol in dict.fromkeys((port.name, port.protocol) for port in whole.ports if port.name):
        at = records.below(name, f"_{port}", f"_{protocol}")
        found = below(whole, (port, protocol), options)
        if at is not None and found is not None:
            yield from at_host(Query(at, codes.SRV), found, options)
