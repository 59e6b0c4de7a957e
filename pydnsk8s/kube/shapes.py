"""Objects as the Kubernetes API writes them, each able to strip itself to what DNS needs.

The shapes name only the fields that are read. What may be left out may also be null, as the API's Go types allow.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Protocol

from msgspec import Struct, field

from pydnsk8s import names, rdata
from pydnsk8s.kube.dnsendpoint import DNSEndpointShape
from pydnsk8s.kube.objects import (
    DNSEndpoint,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Service,
    ServiceImport,
)

_LABEL_SERVICE = "kubernetes.io/service-name"
_LABEL_IMPORT = "multicluster.kubernetes.io/service-name"
_LABEL_CLUSTER = "multicluster.kubernetes.io/source-cluster"


def _fits(text: str) -> bool:
    """Whether the text can be one label of a name (RFC 1035 section 2.3.4)."""
    return 0 < len(text) < 64 and text.isascii() and text.isprintable() and "." not in text


# Values that many objects repeat are kept once. Bounded, so that churn cannot fill the memory; not ``sys.intern``,
# because Python 3.12 never lets go of an interned string.


@lru_cache(2048)
def _label(text: str) -> str:
    if not _fits(text):
        raise ValueError(f"{text!r} cannot be a DNS label")
    return text if text.islower() else text.lower()


@lru_cache(1024)
def _shared(text: str) -> str:
    return text


@lru_cache(1024)
def _shared_ports(ports: tuple[Port, ...]) -> tuple[Port, ...]:
    return ports


@lru_cache(1024)
def _shared_labels(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return labels


def _packed(text: str) -> bytes:
    try:
        return rdata.unmapped(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text))
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IP address") from None


def _addresses(texts: Iterable[str | None] | None) -> tuple[bytes, ...]:
    """The addresses, each once; a pending one is an empty string."""
    return tuple(dict.fromkeys(_packed(text) for text in texts or () if text))


class _Port(Struct, gc=False):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None

    def strip(self) -> Port:
        number = self.port or 0
        if not 0 <= number < 65536:
            raise ValueError(f"{number} is not a port")
        return Port(_label(self.name) if self.name else "", number, _label(self.protocol or "TCP"))


def _ports(ports: list[_Port] | None) -> tuple[Port, ...]:
    return _shared_ports(tuple([port.strip() for port in ports or ()]))


class _Meta(Struct, gc=False):
    name: str
    namespace: str = ""


class _Namespace(Struct, gc=False):
    metadata: _Meta

    def strip(self) -> Namespace:
        return Namespace(_label(self.metadata.name))


class _ServiceSpec(Struct, gc=False):
    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_name: str | None = field(default=None, name="externalName")
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    ports: list[_Port] | None = None


class _Ingress(Struct, gc=False):
    ip: str | None = None
    hostname: str | None = None


class _LoadBalancer(Struct, gc=False):
    ingress: list[_Ingress] | None = None


class _ServiceStatus(Struct, gc=False, rename="camel"):
    load_balancer: _LoadBalancer | None = None


class _Service(Struct, gc=False):
    metadata: _Meta
    spec: _ServiceSpec
    status: _ServiceStatus | None = None

    def strip(self) -> Service:
        spec, balancer = self.spec, self.status and self.status.load_balancer
        ingress = (balancer and balancer.ingress) or []
        hosts = [entry.hostname for entry in ingress if entry.hostname]
        cluster_ips = spec.cluster_ips or [spec.cluster_ip or ""]
        external = spec.type == "ExternalName"
        headless = "None" in cluster_ips and not external
        for host in [*hosts, spec.external_name or ""] if external else hosts:
            names.parse(host)  # what is no name must not get as far as an answer
        return Service(
            namespace=_label(self.metadata.namespace),
            name=_label(self.metadata.name),
            type=_shared(spec.type or "ClusterIP"),
            headless=headless,
            cluster_ips=() if headless or external else _addresses(cluster_ips),
            ports=_ports(spec.ports),
            external_name=(spec.external_name or "") if external else "",
            external_ips=_addresses([*(spec.external_ips or ()), *(entry.ip for entry in ingress)]),
            external_hosts=tuple(hosts),
        )


class _Conditions(Struct, gc=False):
    ready: bool | None = None


class _Target(Struct, gc=False):
    name: str | None = None


class _Endpoint(Struct, gc=False, rename="camel"):
    addresses: list[str] | None = None
    conditions: _Conditions | None = None
    hostname: str | None = None
    zone: str | None = None
    target_ref: _Target | None = None

    @property
    def ready(self) -> bool:
        # An endpoint of unknown condition counts as ready, as the API asks of its readers.
        return self.conditions is None or self.conditions.ready is not False

    def strip(self) -> list[Endpoint]:
        hostname = _label(self.hostname) if self.hostname else ""
        pod = self.target_ref.name.lower() if self.target_ref and self.target_ref.name else ""
        zone = _shared(self.zone.lower()) if self.zone else ""
        return [
            Endpoint(_packed(address), hostname, pod if _fits(pod) else "", zone) for address in self.addresses or ()
        ]


class _LabelledMeta(_Meta, gc=False):
    labels: dict[str, str] | None = None
    deleted: object = field(default=None, name="deletionTimestamp")


class _EndpointSlice(Struct, gc=False, rename="camel"):
    metadata: _LabelledMeta
    address_type: str | None = None
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None

    def strip(self) -> EndpointSlice:
        labels = self.metadata.labels or {}
        service, imported, cluster = map(labels.get, (_LABEL_SERVICE, _LABEL_IMPORT, _LABEL_CLUSTER))
        found: list[Endpoint] = []
        # Nobody can ask for a slice of no service, and addresses of type FQDN are no addresses.
        if (service or imported) and self.address_type != "FQDN":
            for endpoint in self.endpoints or ():
                if endpoint.ready:
                    found += endpoint.strip()
        # The controller may list the same endpoints in another order; that is no change.
        found.sort(key=attrgetter("address", "hostname"))
        return EndpointSlice(
            namespace=_label(self.metadata.namespace),
            name=self.metadata.name.lower(),
            service=_label(service) if service else "",
            imported=_label(imported) if imported else "",
            cluster=_label(cluster) if cluster else "",
            endpoints=tuple(found),
            ports=_ports(self.ports),
        )


class _PodIP(Struct, gc=False):
    ip: str | None = None


class _PodStatus(Struct, gc=False):
    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[_PodIP] | None = field(default=None, name="podIPs")


class _Pod(Struct, gc=False):
    metadata: _LabelledMeta
    status: _PodStatus | None = None

    def strip(self) -> Pod:
        status = self.status or _PodStatus()
        gone = self.metadata.deleted is not None or status.phase in {"Succeeded", "Failed", "Unknown"}
        ips = [] if gone else [status.pod_ip, *(entry.ip for entry in status.pod_ips or ())]
        return Pod(
            namespace=_label(self.metadata.namespace),
            name=self.metadata.name.lower(),
            ips=_addresses(ips),
            labels=_shared_labels(tuple(sorted((self.metadata.labels or {}).items()))),
        )


class _ImportSpec(Struct, gc=False):
    type: str | None = None
    ips: list[str] | None = None
    ports: list[_Port] | None = None


class _ServiceImport(Struct, gc=False):
    metadata: _Meta
    spec: _ImportSpec

    def strip(self) -> ServiceImport:
        headless = self.spec.type == "Headless"
        return ServiceImport(
            namespace=_label(self.metadata.namespace),
            name=_label(self.metadata.name),
            headless=headless,
            ips=() if headless else _addresses(self.spec.ips),
            ports=_ports(self.spec.ports),
        )


class Shape(Protocol):
    """An object as the API writes it."""

    def strip(self) -> Object:
        """What DNS needs of it; raises ValueError if it says what cannot be."""


SHAPES: dict[Kind, type[Shape]] = {
    Namespace: _Namespace,
    Service: _Service,
    EndpointSlice: _EndpointSlice,
    Pod: _Pod,
    ServiceImport: _ServiceImport,
    DNSEndpoint: DNSEndpointShape,
}
"""The shape of each kind."""
