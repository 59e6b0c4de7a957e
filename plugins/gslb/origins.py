"""Where the addresses of a cluster come from if they are not written down: a name, or a peer that knows them."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

from pydnsk8s import codes, names
from pydnsk8s.upstream import Address, Unanswered, resolve

from .health import Finding
from .lookups import ask

MOST = 64
"""Addresses a cluster may have: as many as fit into a reply."""
PREFIX = b"localtargets-"
"""Stands in front of a name when it is asked for the healthy addresses of one cluster alone, as k8gb does."""


def local_name(name: bytes) -> bytes:
    """The name under which a cluster tells others its own addresses; ValueError if it would be too long."""
    label, *rest = names.labels(name)
    return names.join(PREFIX + label, *rest)


@dataclass(frozen=True, slots=True)
class Named:
    """A name whose addresses are the cluster's."""

    host: str
    resolvers: tuple[Address, ...] = ()
    """Whom to ask; none means the system's resolver."""
    kind = "name"

    def __str__(self) -> str:
        return f"name {self.host}"

    async def look(self, seconds: float) -> Finding:
        """Look the name up; whether its addresses work is not known by that."""
        try:
            async with asyncio.timeout(seconds):
                found = await resolve(self.host, self.resolvers)
        except TimeoutError:
            return Finding(None, f"not resolved within {seconds:g} s")
        except Unanswered as error:
            return Finding(None, str(error))
        return Finding(True, "", _usable([ipaddress.ip_address(text.partition("%")[0]).packed for text in found]))


@dataclass(frozen=True, slots=True)
class Peer:
    """Another cluster's DNS servers, k8gb's or ours, which know which of its addresses are healthy."""

    servers: tuple[Address, ...]
    """Asked in turn until one answers."""
    name: bytes
    """The service, without the prefix."""
    kind = "peer"

    def __str__(self) -> str:
        return f"peer {' '.join(map(str, self.servers))} for {names.text(self.name)}"

    async def look(self, seconds: float) -> Finding:
        """Ask for the healthy addresses; that there is none is an answer, silence is not."""
        share = seconds / len(self.servers)
        complaints = []
        for server in self.servers:
            try:
                async with asyncio.timeout(share):
                    found = _usable(
                        [*await self._ask(server, codes.A, share), *await self._ask(server, codes.AAAA, share)]
                    )
            except TimeoutError:
                complaints.append(f"{server}: no answer within {share:.3g} s")
            except Unanswered as error:
                complaints.append(f"{server}: {error}")
            else:
                return Finding(True, "", found) if found else Finding(False, f"{server} has no healthy address")
        return Finding(None, "; ".join(complaints))

    async def _ask(self, server: Address, type: int, seconds: float) -> list[bytes]:
        rcode, answer = await ask(server, local_name(self.name), type, seconds)
        if rcode not in (codes.NOERROR, codes.NXDOMAIN):
            raise Unanswered(codes.rcode_name(rcode))
        size = 4 if type == codes.A else 16
        return [record.data for record in answer if record.type == type and len(record.data) == size]


def _usable(addresses: list[bytes]) -> tuple[bytes, ...]:
    """Those that can be somebody's, in an order that does not depend on that of the reply."""
    return tuple(sorted({held for held in addresses if not _is_nobodys(ipaddress.ip_address(held))})[:MOST])


def _is_nobodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # There are peers that tell an IPv6 address as 0.0.0.0.
    return address.is_unspecified or address.is_multicast
