"""Clusters in three sizes as large installations have them, drawn from a seed: their objects, and the same as zones."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from typing import NamedTuple

ZONE = "cluster.local"
REVERSE = "10.in-addr.arpa"
# kubeadm's and flannel's own networks.
_SERVICES = IPv4Address("10.96.0.1")
_PODS = IPv4Address("10.244.0.1")
_SLICE = 100  # endpoints at most, as the endpoint slice controller writes them
_KINDS = {"cluster": 82, "headless": 15, "external": 3}
_WORDS = ("api", "web", "db", "cache", "auth", "queue", "search", "billing")
VENDORS = 2000
"""Hosts outside the cluster that ExternalName services and applications name."""


class Tier(NamedTuple):
    """How large a cluster is; the number of endpoints is aimed at."""

    services: int
    namespaces: int
    endpoints: int

    def groups(self) -> list[int]:
        """The endpoints of each service: a quarter of all in groups of 250, a quarter in 30, half in 5.

        So does the load test of the Kubernetes project (perf-tests, clusterloader2/testing/load).
        """
        large = [250] * max(1, self.endpoints // 4 // 250) + [30] * max(1, self.endpoints // 4 // 30)
        large = large[: max(2, self.services // 10)]
        return large + [5] * (self.services - len(large))


TIERS = {"S": Tier(100, 10, 1_000), "M": Tier(5_000, 200, 50_000), "L": Tier(10_000, 1_000, 100_000)}


class Endpoint(NamedTuple):
    """A pod behind a service; those of a stateful set have host names."""

    address: IPv4Address
    hostname: str = ""

    @property
    def label(self) -> str:
        """Its name below the service's."""
        return self.hostname or str(self.address).replace(".", "-")

    def object(self) -> dict[str, object]:
        """It in an endpoint slice."""
        named = {"hostname": self.hostname} if self.hostname else {}
        return {"addresses": [str(self.address)], "conditions": {"ready": True}, **named}


@dataclass(frozen=True, slots=True)
class Service:
    """One service: with an address of its own, headless, or an alias of a host outside."""

    name: str
    namespace: str
    kind: str
    address: IPv4Address
    endpoints: tuple[Endpoint, ...] = ()
    alias: str = ""

    @property
    def path(self) -> str:
        return f"{self.name}.{self.namespace}.svc"

    def slices(self) -> Iterator[dict[str, object]]:
        """Its endpoint slices, as many as it needs."""
        for first in range(0, len(self.endpoints), _SLICE):
            metadata = {
                "name": f"{self.name}-{first // _SLICE}",
                "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": self.name},
            }
            yield {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
                "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [each.object() for each in self.endpoints[first : first + _SLICE]],
            }  # fmt: skip

    def objects(self) -> Iterator[dict[str, object]]:
        """What the API server has of it."""
        ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
        spec: dict[str, object] = {"clusterIP": str(self.address), "ports": ports}
        if self.kind == "headless":
            spec["clusterIP"] = "None"
        if self.kind == "external":
            spec = {"type": "ExternalName", "externalName": self.alias}
        metadata = {"name": self.name, "namespace": self.namespace}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        yield from self.slices()

    def records(self) -> Iterator[str]:
        """Its lines of a zone file, names relative to the cluster's zone."""
        if self.kind == "external":
            yield f"{self.path} CNAME {self.alias}."
        elif self.kind == "cluster":
            yield f"{self.path} A {self.address}"
            yield f"_http._tcp.{self.path} SRV 0 100 80 {self.path}"
        else:
            weight = max(1, 100 // len(self.endpoints))
            for each in self.endpoints:
                yield f"{self.path} A {each.address}"
                yield f"{each.label}.{self.path} A {each.address}"
                yield f"_http._tcp.{self.path} SRV 0 {weight} 8080 {each.label}.{self.path}"

    def pointers(self) -> Iterator[tuple[IPv4Address, str]]:
        """The addresses that lead back to it, and the names they lead to."""
        if self.kind == "cluster":
            yield self.address, self.path
        elif self.kind == "headless":
            yield from ((each.address, f"{each.label}.{self.path}") for each in self.endpoints)


class Cluster:
    """The services of a tier, spread over its namespaces: 3 in 100 ExternalName, 15 headless."""

    def __init__(self, tier: Tier, *, seed: int = 53) -> None:
        self._draw = random.Random(f"{seed}/{tier}")
        self._drawn = 0
        self.namespaces = [f"team-{number:04d}" for number in range(tier.namespaces)]
        groups = tier.groups()
        self._draw.shuffle(groups)
        self.services = [self._service(number, size) for number, size in enumerate(groups)]

    def _service(self, number: int, size: int) -> Service:
        draw = self._draw
        kind = draw.choices(list(_KINDS), list(_KINDS.values()))[0]
        name = f"{draw.choice(_WORDS)}-{number:05d}"
        # First one in each namespace, so that all exist.
        first = number < len(self.namespaces)
        namespace = self.namespaces[number] if first else draw.choice(self.namespaces)
        if kind == "external":
            return Service(name, namespace, kind, _SERVICES, alias=vendor(draw.randrange(VENDORS)))
        stateful = kind == "headless" and draw.random() < 2 / 3
        addresses = [_PODS + self._drawn + each for each in range(size)]
        self._drawn += size
        endpoints = (Endpoint(each, f"{name}-{n}" if stateful else "") for n, each in enumerate(addresses))
        return Service(name, namespace, kind, _SERVICES + number, tuple(endpoints))

    @cached_property
    def headless(self) -> list[Service]:
        return [service for service in self.services if service.kind == "headless"]

    @cached_property
    def pods(self) -> dict[str, IPv4Address]:
        """Names of pods below ``pod``, one for each headless service."""
        firsts = ((service.namespace, service.endpoints[0].address) for service in self.headless)
        return {f"{str(address).replace('.', '-')}.{namespace}.pod": address for namespace, address in firsts}

    def objects(self) -> Iterator[dict[str, object]]:
        """What the API server has."""
        for name in self.namespaces:
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for service in self.services:
            yield from service.objects()

    def manifest(self) -> str:
        """The objects as ``kubectl get -o json`` prints them."""
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(self.objects())})

    def zones(self) -> dict[str, str]:
        """Zone files with the records that the objects stand for: the names, and the addresses backwards."""
        lines = [f"ns.dns A {_SERVICES + (1 << 18)}"]
        for service in self.services:
            lines += service.records()
        lines += (f"{pod} A {address}" for pod, address in self.pods.items())
        pointers = (pair for service in self.services for pair in service.pointers())
        backwards = (f"{address.reverse_pointer}. PTR {path}.{ZONE}." for address, path in pointers)
        return {ZONE: zone_file(ZONE, 30, lines), REVERSE: zone_file(REVERSE, 30, backwards)}


def vendor(number: int) -> str:
    """A host outside the cluster."""
    return f"w{number:04d}.vendor.example"


def zone_file(origin: str, ttl: int, lines: Iterator[str] | list[str]) -> str:
    """A zone file with these records below its SOA and NS records."""
    soa = f"@ SOA ns.dns.{ZONE}. hostmaster.{ZONE}. 1 7200 1800 86400 {ttl}"
    head = (f"$ORIGIN {origin.rstrip('.')}.", f"$TTL {ttl}", soa, f"@ NS ns.dns.{ZONE}.")
    return "\n".join((*head, *lines, ""))
