"""A cluster drawn from a seed: its objects for us, the same records as a zone for Knot, and questions about them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

ZONE = "cluster.local"
# RFC 2544 appendix C.2.2 sets 198.18.0.0/15 aside for benchmarks; other documentation networks are too small.
_SERVICES = IPv4Address("198.18.0.1")
_PODS = IPv4Address("198.19.0.1")
_ENDPOINTS = 3  # of each headless service


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its own address, or those of its endpoints if it is headless."""

    name: str
    namespace: str
    address: IPv4Address
    endpoints: tuple[IPv4Address, ...]

    @property
    def path(self) -> str:
        return f"{self.name}.{self.namespace}.svc"

    @property
    def hosts(self) -> dict[str, IPv4Address]:
        """The names that its SRV records point to."""
        return {f"{_dashed(each)}.{self.path}": each for each in self.endpoints} or {self.path: self.address}

    def objects(self) -> Iterator[dict[str, object]]:
        """What the API server has of it."""
        metadata = {"name": self.name, "namespace": self.namespace}
        port = {"name": "http", "port": 80, "protocol": "TCP"}
        address = "None" if self.endpoints else str(self.address)
        yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
               "spec": {"clusterIP": address, "ports": [port]}}  # fmt: skip
        labels = {"kubernetes.io/service-name": self.name}
        yield {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {**metadata, "labels": labels},
               "addressType": "IPv4", "ports": [port],
               "endpoints": [{"addresses": [str(each)]} for each in self.endpoints]}  # fmt: skip

    def records(self) -> Iterator[str]:
        """Its lines of a zone file, names relative to the cluster's zone."""
        for host, address in self.hosts.items():
            yield f"_http._tcp.{self.path} SRV 0 {100 // len(self.hosts)} 80 {host}"
            yield f"{self.path} A {address}"
            if host != self.path:
                yield f"{host} A {address}"


class Cluster:
    """So many services, one in ten of them headless, and so many pods, spread over namespaces."""

    def __init__(self, services: int, pods: int, *, seed: int = 53) -> None:
        self._seed = seed
        draw = random.Random(seed)
        namespaces = [f"team-{number}" for number in range(max(services // 100, 3))]
        self.services = [
            Service(
                f"service-{number}",
                draw.choice(namespaces),
                _SERVICES + number,
                tuple(_PODS + draw.randrange(60_000) for _ in range(_ENDPOINTS)) if number % 10 == 9 else (),
            )
            for number in range(services)
        ]
        # Only namespaces that hold something exist.
        held = sorted({service.namespace for service in self.services})
        self.pods = {f"{_dashed(_PODS + number)}.{draw.choice(held)}.pod": _PODS + number for number in range(pods)}

    def manifest(self) -> str:
        """The objects as ``kubectl get -o json`` prints them."""
        items = [each for service in self.services for each in service.objects()]
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})

    def zone(self) -> str:
        """A zone file with the records that the objects stand for."""
        lines = ["@ SOA ns.dns hostmaster 1 7200 1800 86400 30", "@ NS ns.dns", f"ns.dns A {_SERVICES}"]
        for service in self.services:
            lines += dict.fromkeys(service.records())
        lines += (f"{pod} A {address}" for pod, address in self.pods.items())
        return "\n".join((f"$ORIGIN {ZONE}.", "$TTL 30", *lines, ""))

    def questions(self) -> list[str]:
        """Each question once, in a drawn order: A and AAAA of services as a libc asks, SRV, and A of pods."""
        asked = [f"{service.path}.{ZONE} {type}" for service in self.services for type in ("A", "AAAA")]
        asked += [f"_http._tcp.{service.path}.{ZONE} SRV" for service in self.services]
        asked += [f"{pod}.{ZONE} A" for pod in self.pods]
        random.Random(self._seed).shuffle(asked)
        return asked


def _dashed(address: IPv4Address) -> str:
    return str(address).replace(".", "-")
