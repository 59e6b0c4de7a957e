"""What the cluster holds under a name: addresses with their ports, or another name; None where there is nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Endpoint, EndpointSlice, Port, Service, ServiceImport
from pydnsk8s.plugins.kubernetes.name import Asked
from pydnsk8s.plugins.kubernetes.options import Options


class Entry(NamedTuple):
    """One address behind a name, at one port."""

    address: bytes
    port: int
    """0 where there is none to name in an SRV record."""
    target: tuple[str, ...]
    """The labels, left of the namespace, of the name with this address."""


class Found(NamedTuple):
    """Everything behind one name."""

    entries: tuple[Entry, ...] = ()
    alias: str = ""
    """The name an ExternalName service stands for."""


_BRANCH = Found()
"""A name with nothing of its own, but with others below it (RFC 8020 section 2)."""


def find(index: Index, options: Options, asked: Asked, *, multicluster: bool) -> Found | None:
    """What a service name stands for."""
    if multicluster:
        return _imported(index, options, asked)
    service = index.service(asked.namespace, asked.service)
    if service is None:
        return None
    if service.external_name or service.type == "ExternalName":
        return _external(service, asked)
    if not (service.headless or asked.endpoint or asked.topology or options.ignore_empty):
        return _some(_of_addresses(service.cluster_ips, service.ports, asked))
    slices = index.slices(asked.namespace, asked.service)
    if asked.topology:
        return _zonal(options, slices, asked) if service.headless else None
    if asked.endpoint:
        return _endpoint(options, slices, asked) or _branch(options, service, slices, asked)
    if service.headless:
        return _some(_of_slices(options, slices, asked))
    if options.ignore_empty and not any(slice_.endpoints for slice_ in slices):
        return None
    return _some(_of_addresses(service.cluster_ips, service.ports, asked))


def _some(entries: Iterable[Entry]) -> Found | None:
    held = tuple(entries)
    return Found(held) if held else None


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


def _fits(port: Port, asked: Asked) -> bool:
    return asked.port in ("", "*", port.name) and asked.protocol in ("", "*", port.protocol)


_NO_PORT = (Port("", 0, ""),)


def _of_addresses(addresses: Iterable[bytes], ports: tuple[Port, ...], asked: Asked) -> Iterator[Entry]:
    for address in addresses:
        for port in ports or _NO_PORT:
            if _fits(port, asked):
                yield Entry(address, port.number, (asked.service,))


def _of_slices(options: Options, slices: Iterable[EndpointSlice], asked: Asked) -> Iterator[Entry]:
    for slice_ in slices:
        behind = (slice_.cluster,) if slice_.cluster and slice_.imported else ()
        for endpoint in slice_.endpoints:
            target = (endpoint_name(endpoint, pod_names=options.pod_names), *behind, asked.service)
            for port in slice_.ports or _NO_PORT:
                if _fits(port, asked):
                    yield Entry(endpoint.address, port.number, target)


def _endpoint(options: Options, slices: Iterable[EndpointSlice], asked: Asked) -> Found | None:
    name = asked.endpoint
    return _some(
        entry
        for slice_ in slices
        if not asked.cluster or slice_.cluster == asked.cluster
        for entry in _of_slices(options, (slice_,), asked)
        if entry.target[0] == name
    )


def _branch(options: Options, service: Service, slices: Iterable[EndpointSlice], asked: Asked) -> Found | None:
    """The names between a service and its ports, or its topology zones."""
    if asked.endpoint == "_zone" and options.zonal and service.headless:
        return _BRANCH
    protocol = asked.endpoint.removeprefix("_")
    ports = [port for slice_ in slices for port in slice_.ports] if service.headless else service.ports
    return _BRANCH if any(port.protocol == protocol and port.name for port in ports) else None


def _zonal(options: Options, slices: Iterable[EndpointSlice], asked: Asked) -> Found | None:
    here = [
        slice_.__class__(
            **{
                **{field: getattr(slice_, field) for field in slice_.__struct_fields__},
                "endpoints": tuple(each for each in slice_.endpoints if each.zone == asked.topology),
            }
        )
        for slice_ in slices
    ]
    found = _some(_of_slices(options, here, asked))
    if found is None and not asked.pinned:
        return _some(_of_slices(options, slices, asked))
    # Pinned to a zone without endpoints: the name exists, it only has no address.
    return found or _BRANCH


def _imported(index: Index, options: Options, asked: Asked) -> Found | None:
    held: ServiceImport | None = index.service_import(asked.namespace, asked.service)
    if held is None:
        return None
    slices = index.imported_slices(asked.namespace, asked.service)
    if asked.endpoint:
        if asked.cluster:
            return _endpoint(options, slices, asked)
        # A cluster's id has endpoints below it; an endpoint without the id names nothing.
        clusters = {slice_.cluster for slice_ in slices if slice_.endpoints}
        ports = {port.protocol for port in held.ports if port.name}
        return _BRANCH if asked.endpoint in clusters or asked.endpoint.removeprefix("_") in ports else None
    if held.headless:
        return _some(_of_slices(options, slices, asked))
    return _some(_of_addresses(held.ips, held.ports, asked))


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
