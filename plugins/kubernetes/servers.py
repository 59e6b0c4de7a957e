"""The name servers of a cluster's zone: the services this very server stands behind."""

from __future__ import annotations

import ipaddress

from pydnsk8s import names
from pydnsk8s.kube.index import Index
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Record
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.plugins.kubernetes.finding import endpoint_name
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.records import address


def name_servers(index: Index, options: Options, zone: bytes, block: ServerBlock) -> list[tuple[bytes, list[Record]]]:
    """Each name server's name with its address records: our services, or ``ns.dns`` with our own addresses."""
    ours = _own_addresses(block)
    if names.is_under(zone, names.IN_ADDR) or names.is_under(zone, names.IP6):
        zone_of_names = options.primary
    else:
        zone_of_names = zone
    found: dict[bytes, dict[bytes, Record]] = {}
    for packed in ours:
        for namespace, name, endpoint in index.endpoints_at(packed):
            service = index.service(namespace, name)
            if service is None:
                continue
            held: tuple[bytes, ...]
            whole = names.join(name.encode(), namespace.encode(), b"svc", to=zone_of_names)
            if service.headless:
                label = endpoint_name(endpoint, pod_names=options.pod_names)
                whole, held = names.join(label.encode(), to=whole), (packed,)
            else:
                held = service.cluster_ips
            glue = found.setdefault(whole, {})
            glue.update({each: address(whole, each, options.ttl) for each in held})
    if not found:
        own = names.join(b"ns", b"dns", to=zone)
        found[own] = {each: address(own, each, options.ttl) for each in ours}
    return [(name, list(glue.values())) for name, glue in found.items()]


def _own_addresses(block: ServerBlock) -> list[bytes]:
    """Where we can be reached: the addresses bound, or all that are not for this machine only."""
    if block.hosts:
        return [ipaddress.ip_address(host.partition("%")[0]).packed for host in block.hosts]
    held = (ipaddress.ip_address(text.partition("%")[0]) for texts in interfaces.addresses().values() for text in texts)
    return [each.packed for each in held if not (each.is_loopback or each.is_link_local)]
