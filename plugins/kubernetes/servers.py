"""The name servers of a cluster's zone: the services this very server stands behind."""

from __future__ import annotations

from collections.abc import Iterator

from pydnsk8s import names
from pydnsk8s.kube.index import Index
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Record
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.plugins.kubernetes.finding import endpoint_name, exposed
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.records import address, below


def name_servers(index: Index, options: Options, zone: bytes, block: ServerBlock) -> list[tuple[bytes, list[Record]]]:
    """Each name server's name with its address records: our services, or ``ns.dns`` with our own addresses."""
    # The names must have addresses: those of reverse zones and of cluster sets are in a zone of this cluster.
    home = options.primary if names.is_reverse(zone) or zone in options.multicluster else zone
    ours = interfaces.reachable(block.hosts)
    found: dict[bytes, dict[bytes, Record]] = {}
    for packed in ours if home not in options.multicluster else ():
        for name, held in _services_of(packed, index, options, home):
            found.setdefault(name, {}).update({each: address(name, each, options.ttl) for each in held})
    if not found:
        own = names.join(b"ns", b"dns", to=home)
        found[own] = {each: address(own, each, options.ttl) for each in ours}
    return [(name, list(glue.values())) for name, glue in found.items()]


def _services_of(
    packed: bytes, index: Index, options: Options, zone: bytes
) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    """Name and addresses of each service that an address stands behind."""
    for namespace, name, endpoint in index.endpoints_at(packed):
        service = index.service(namespace, name)
        if service is None or not exposed(index, options, namespace):
            continue
        held = service.cluster_ips
        labels: tuple[str, ...] = (name, namespace, "svc")
        if service.headless:
            labels, held = (endpoint_name(endpoint, pod_names=options.pod_names), *labels), (packed,)
        whole = below(zone, *labels)
        if whole is not None:
            yield whole, held
