"""What DNS needs to know of a cluster's objects, and nothing else.

Rule: an object is an immutable value. Two that are equal give the same answers, whatever else changed in the cluster.
All names are in lower case and can be DNS labels; all addresses are packed, 4 or 16 octets.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from msgspec import Struct

# ``gc=False`` throughout: nothing here can be part of a cycle, and the collector need not visit 100,000 endpoints.


class Port(Struct, frozen=True, gc=False):
    """One port of a service or of its endpoints."""

    name: str
    """Empty if the port has none."""
    number: int
    """0 if the slice leaves it open; such a port has no SRV record."""
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""


class Namespace(Struct, frozen=True, gc=False):
    """A namespace that exists."""

    name: str
    namespace: ClassVar[str] = ""


class Service(Struct, frozen=True, gc=False):
    """A Service; a headless one has no cluster IP and answers with its endpoints, one of type ExternalName never is."""

    namespace: str
    name: str
    type: str
    """``ClusterIP``, ``NodePort``, ``LoadBalancer`` or ``ExternalName``."""
    headless: bool
    cluster_ips: tuple[bytes, ...]
    """None if it is headless or stands for another name."""
    ports: tuple[Port, ...]
    external_name: str
    """The name an ExternalName service stands for, as it was written; empty for the other types."""
    external_ips: tuple[bytes, ...]
    """The addresses it can be reached at from outside: its externalIPs, then those of its load balancer."""
    external_hosts: tuple[str, ...]
    """The host names of its load balancer."""


class Endpoint(Struct, frozen=True, gc=False):
    """One ready address behind a service."""

    address: bytes
    hostname: str
    """The label the endpoint asked for, or empty."""
    pod: str
    """The name of the pod at this address, or empty if there is none or it cannot be a label."""
    zone: str
    """The topology zone, or empty."""


class EndpointSlice(Struct, frozen=True, gc=False):
    """A part of a service's ready endpoints, in the order of their addresses."""

    namespace: str
    name: str
    service: str
    """The service of this cluster that it belongs to, or empty."""
    imported: str
    """The multi-cluster service that it belongs to, or empty."""
    cluster: str
    """The cluster an imported slice came from, or empty."""
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


class Pod(Struct, frozen=True, gc=False):
    """A pod; one that is finished or being deleted has no addresses any more."""

    namespace: str
    name: str
    ips: tuple[bytes, ...]
    labels: tuple[tuple[str, str], ...]


class ServiceImport(Struct, frozen=True, gc=False):
    """A service of the whole cluster set (multicluster.x-k8s.io)."""

    namespace: str
    name: str
    headless: bool
    ips: tuple[bytes, ...]
    ports: tuple[Port, ...]


class Weight(Struct, frozen=True, gc=False):
    """How much of the traffic an address is to have, together with the others of its group."""

    group: str
    weight: int
    address: bytes


class RecordSet(Struct, frozen=True, gc=False):
    """The records of one name and type, as one entry of a DNSEndpoint asks for them, and how to choose among them."""

    name: bytes
    """In wire form and lower case."""
    type: int
    ttl: int | None
    """In seconds; None if the entry does not say."""
    data: tuple[bytes, ...]
    """In wire form, in the order they were written."""
    strategy: str = ""
    """In lower case, such as ``roundrobin``, ``failover`` or ``geoip``; empty if the entry does not say."""
    weights: tuple[Weight, ...] = ()


class DNSEndpoint(Struct, frozen=True, gc=False):
    """Records that somebody wants in the DNS (externaldns.k8s.io)."""

    namespace: str
    name: str
    labels: tuple[tuple[str, str], ...]
    records: tuple[RecordSet, ...]


Object: TypeAlias = Namespace | Service | EndpointSlice | Pod | ServiceImport | DNSEndpoint
Kind: TypeAlias = type[Object]
"""A kind's ``__name__`` is its name in Kubernetes."""

KINDS: tuple[Kind, ...] = (Namespace, Service, EndpointSlice, Pod, ServiceImport)
"""Every kind that says what is in the cluster; a DNSEndpoint speaks of names anywhere."""
