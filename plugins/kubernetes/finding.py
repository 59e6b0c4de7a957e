"""What the cluster holds under a name: addresses with their ports, or another name; None where there is nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydnsk8s.kube.index import Index
from pydnsk8s.kube.named import Named
from pydnsk8s.kube.objects import Endpoint, EndpointSlice, Port, Service
from pydnsk8s.plugins.kubernetes.name import ANY, Asked, Part, bare
from pydnsk8s.plugins.kubernetes.options import Options


class Spot(NamedTuple):
    """One address behind a name."""

    address: bytes
    ports: tuple[Port, ...]
    """The ports asked for there; none if it has no ports at all."""
    endpoint: Endpoint | None = None
    """None for an address of the service itself."""
    cluster: str | None = None
    """The cluster that an imported endpoint is in; empty if its slice does not say, None for one of this cluster."""


class Found(NamedTuple):
    """Everything behind one name."""

    spots: tuple[Spot, ...] = ()
    alias: str = ""
    """The name an ExternalName service stands for."""


_ALL = Asked(Part.SERVICE)
_BRANCH = Found()
"""A name with nothing of its own, but with others below it (RFC 8020 section 2)."""


def find(held: Named, options: Options, asked: Asked, *, multicluster: bool) -> Found | None:
    """What a service name stands for, of what the service's own name has."""
    if multicluster:
        return _imported(held, options, asked)
    service = held.service
    if service is None:
        return None
    if service.type == "ExternalName":
        return _external(service, asked)
    if service.headless or asked.endpoint or asked.topology:
        return _among_endpoints(held, options, service, asked)
    if options.ignore_empty and not any(each.endpoints for each in held.slices(service.name)):
        return None
    return _of_service(service.cluster_ips, service.ports, asked)


def exposed(index: Index, options: Options, namespace: str) -> bool:
    """Whether the namespace is one of those served, and exists; read under ``("namespace", namespace)``."""
    return (not options.namespaces or namespace in options.namespaces) and index.has_namespace(namespace)


def _external(service: Service, asked: Asked) -> Found | None:
    if asked.endpoint or asked.port or asked.topology or _is_address(service.external_name):
        return None
    return Found(alias=service.external_name) if service.external_name else None


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def _of_service(addresses: tuple[bytes, ...], ports: tuple[Port, ...], asked: Asked) -> Found | None:
    if asked.port:
        ports = _fitting(ports, asked)
        if not ports:
            return None
    return Found(tuple([Spot(address, ports) for address in addresses]))


def _fitting(ports: tuple[Port, ...], asked: Asked) -> tuple[Port, ...]:
    """The ports of the name and protocol asked for."""
    return tuple(port for port in ports if asked.port in (ANY, port.name) and asked.protocol in (ANY, port.protocol))


def _among_endpoints(held: Named, options: Options, service: Service, asked: Asked) -> Found | None:
    if asked.endpoint:
        return _endpoint(held, options, service, asked.endpoint)
    spots = tuple(_of_slices(held.slices(service.name), asked))
    if not spots and (service.headless or options.ignore_empty):
        return None
    if asked.topology:
        if not service.headless:
            return None
        here = tuple(spot for spot in spots if spot.endpoint and spot.endpoint.zone == asked.topology)
        # Pinned to a zone without endpoints: the name exists, it only has no address.
        return Found(here if here or asked.pinned else spots)
    return Found(spots)


def _endpoint(held: Named, options: Options, service: Service, label: str) -> Found | None:
    if held.by_label is None:
        # A service may have thousands of endpoints, each asked for by its name.
        held.by_label = {}
        for spot in _of_slices(held.slices(service.name), _ALL):
            if spot.endpoint is not None:
                its = endpoint_name(spot.endpoint, pod_names=options.pod_names)
                held.by_label[its] = (*held.by_label.get(its, ()), spot)
    if not held.by_label and (service.headless or options.ignore_empty):
        return None
    if label == "_zone" and options.zonal and service.headless:
        return _BRANCH
    spots = held.by_label.get(label)
    if spots is not None:
        return Found(spots)
    if not service.headless:
        return _branch(service.ports, label)
    return _branch((port for each in held.slices(service.name) if each.endpoints for port in each.ports), label)


def _of_slices(slices: Iterable[EndpointSlice], asked: Asked, *, imported: bool = False) -> Iterator[Spot]:
    for held in slices:
        ports = _fitting(held.ports, asked) if asked.port else held.ports
        if asked.port and not ports:
            continue
        # A slice can belong to an imported service and to the one of this cluster that was derived from it.
        cluster = held.cluster if imported else None
        for endpoint in held.endpoints:
            yield Spot(endpoint.address, ports, endpoint, cluster)


def _of_name(spots: Iterable[Spot], label: str, options: Options) -> Iterator[Spot]:
    for spot in spots:
        if spot.endpoint and endpoint_name(spot.endpoint, pod_names=options.pod_names) == label:
            yield spot


def _branch(ports: Iterable[Port], label: str) -> Found | None:
    """The name between a service and its ports of one protocol."""
    return _BRANCH if any(bare(label) in (ANY, port.protocol) for port in ports) else None


def _imported(held: Named, options: Options, asked: Asked) -> Found | None:
    service = held.service_import
    if service is None:
        return None
    if not (service.headless or asked.endpoint):
        return _of_service(service.ips, service.ports, asked)
    spots = tuple(_of_slices(held.imported_slices(service.name), asked, imported=True))
    if not spots and service.headless:
        return None
    if not asked.endpoint:
        return Found(spots)
    if asked.cluster:
        here = (spot for spot in spots if spot.cluster == asked.cluster)
        named = tuple(_of_name(here, asked.endpoint, options))
        return Found(named) if named else None
    ports = (port for spot in spots for port in spot.ports) if service.headless else service.ports
    # A cluster's id has endpoints below it; an endpoint without the id names nothing.
    clusters = {spot.cluster for spot in spots}
    return _BRANCH if asked.endpoint in clusters else _branch(ports, asked.endpoint)


def endpoint_name(endpoint: Endpoint, *, pod_names: bool) -> str:
    """The label of an endpoint: its host name, else its pod's name if so wished, else its address in dashes."""
    if endpoint.hostname:
        return endpoint.hostname
    if pod_names and endpoint.pod:
        return endpoint.pod
    if len(endpoint.address) == 4:
        return socket.inet_ntop(socket.AF_INET, endpoint.address).replace(".", "-")
    dashed = socket.inet_ntop(socket.AF_INET6, endpoint.address).replace(":", "-")
    # A label must not end in a dash (RFC 952); the zero changes no address (as CoreDNS does).
    return dashed + "0" if dashed.endswith("-") else dashed
