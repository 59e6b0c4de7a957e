"""Clusters to ask: the example one, and ones of a few objects each."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

from pydnsk8s import testing
from pydnsk8s.kube.decode import read
from pydnsk8s.kube.documents import documents
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Endpoint, EndpointSlice, Kind, Namespace, Object, Pod, Port, Service, ServiceImport
from pydnsk8s.message import Reply
from pydnsk8s.plugins.kubernetes import Kubernetes
from tests.plugins.blocks import elsewhere, plugin, query

EXAMPLE = Path(__file__).parents[3] / "docker" / "cluster.example.yaml"
ZONES = "cluster.local in-addr.arpa ip6.arpa"
HTTP = (Port("http", 80, "tcp"),)


def packed(*addresses: str) -> tuple[bytes, ...]:
    return tuple(inet_pton(AF_INET6 if ":" in address else AF_INET, address) for address in addresses)


def service(name: str, *ips: str, namespace: str = "shop", ports: tuple[Port, ...] = HTTP, alias: str = "") -> Service:
    """A ClusterIP service, headless without addresses; or an ExternalName service."""
    return Service(
        namespace=namespace,
        name=name,
        type="ExternalName" if alias else "ClusterIP",
        headless=not ips and not alias,
        cluster_ips=packed(*ips),
        ports=() if alias else ports,
        external_name=alias,
        external_ips=(),
        external_hosts=(),
    )


def endpoint(address: str, hostname: str = "", pod: str = "", zone: str = "") -> Endpoint:
    return Endpoint(packed(address)[0], hostname, pod, zone)


def endpoints(
    service: str,
    *held: Endpoint,
    namespace: str = "shop",
    name: str = "",
    ports: tuple[Port, ...] = HTTP,
    cluster: str = "",
) -> EndpointSlice:
    """A slice of the service's endpoints; with a cluster, of the imported service's."""
    return EndpointSlice(
        namespace=namespace,
        name=name or f"{service}-{cluster}",
        service="" if cluster else service,
        imported=service if cluster else "",
        cluster=cluster,
        endpoints=held,
        ports=ports,
    )


def imported(name: str, *ips: str, namespace: str = "shop", ports: tuple[Port, ...] = HTTP) -> ServiceImport:
    """A service of the cluster set, headless without addresses."""
    return ServiceImport(namespace, name, not ips, packed(*ips), ports)


def pod(name: str, *ips: str, namespace: str = "shop", labels: tuple[tuple[str, str], ...] = ()) -> Pod:
    return Pod(namespace, name, packed(*ips), labels)


def fill(index: Index, kinds: Iterable[Kind], objects: Iterable[Object]) -> None:
    """Make these objects, and the namespaces they are in, all there is."""
    held = list(objects)
    held += [Namespace(name) for name in {obj.namespace for obj in held} - {""}]
    for kind in kinds:
        index.replace(kind, [obj for obj in held if type(obj) is kind])


def cluster(*objects: Object, options: str = "", zones: str = ZONES, more: str = "") -> Kubernetes:
    """The plugin with a cluster of these objects; what ``more`` says stands beside it in the server block."""
    found = plugin(Kubernetes, f"kubernetes {zones} {{\n{options}\n}}\n{more}")
    fill(found.index, found.options.kinds, objects)
    return found


async def ask(found: Kubernetes, name: str, type: str = "A") -> Reply:
    return await found.answer(query(name, type), elsewhere)


@asynccontextmanager
async def serving(*objects: Object, options: str = "", more: str = "") -> AsyncIterator[tuple[testing.Dns, Kubernetes]]:
    """A server with a cluster of these objects; ``more`` are other directives and server blocks."""
    with tempfile.TemporaryDirectory() as empty:
        text = f".:53 {{\nkubernetes {ZONES} {{\nmanifests {empty}\n{options}\n}}\n{more}\n}}\n"
        async with testing.serving(text) as dns:
            found = next(plugin for plugin in dns.plugins if isinstance(plugin, Kubernetes))
            fill(found.index, found.options.kinds, objects)
            yield dns, found


@cache
def example() -> tuple[Object, ...]:
    """The objects of the example cluster."""
    found = [read(kind, document) for kind, document in documents(EXAMPLE)]
    return tuple(obj for obj in found if obj is not None)
