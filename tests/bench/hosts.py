"""A zone of plain hosts outside the cluster: what is forwarded and cached."""

from __future__ import annotations

ZONE = "example.org"
_NUMBER = 2000  # names; fewer than `cache` holds in its stock size
_MANY = 40_000


def zone() -> str:
    """The zone file."""
    hosts = (f"host-{number} A 192.0.2.{number % 254 + 1}" for number in range(_NUMBER))
    return "\n".join((f"$ORIGIN {ZONE}.", "$TTL 3600", "@ SOA ns hostmaster 1 7200 3600 1209600 60", "@ NS ns",
                      "ns A 192.0.2.53", "*.many A 192.0.2.254", *hosts, ""))  # fmt: skip


def many() -> list[str]:
    """Each address once of so many more hosts that no cache of stock size holds them until they are asked for again."""
    return [f"host-{number}.many.{ZONE} A" for number in range(_MANY)]


def questions() -> list[str]:
    """Each host's address once."""
    return [f"host-{number}.{ZONE} A" for number in range(_NUMBER)]
