"""What is outside the cluster and answered by the upstream: a vendor's hosts, the nodes' search domain, the root."""

from __future__ import annotations

from tests.bench.tiers import VENDORS, vendor, zone_file

VENDOR = "vendor.example"
NODES = "nodes.bench.example"
"""The last domain of every pod's search path; nothing is in it."""
_TTL = 60


def zones() -> dict[str, str]:
    """Zone files: every name has an address, some have four, a third has IPv6; whatever else there is is denied."""
    lines = []
    for number in range(VENDORS):
        host = f"{vendor(number)}."
        for more in range(1 if number % 4 else 4):
            lines.append(f"{host} A 198.51.100.{(number + more) % 254 + 1}")
        if number % 3 == 0:
            lines.append(f"{host} AAAA 2001:db8::{number:x}")
    # The root knows that there is something below "example", as who minimises names wants to hear (RFC 9156).
    delegations = [f"{zone}. NS {vendor(0)}." for zone in (VENDOR, NODES)]
    return {
        VENDOR: zone_file(VENDOR, _TTL, lines),
        NODES: zone_file(NODES, _TTL, []),
        ".": zone_file(".", _TTL, delegations),
    }
