"""The client subnet a query names (RFC 7871), sets of networks, and whose address an answer is chosen by."""

from __future__ import annotations

import ipaddress
import socket
import struct
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from pydnsk8s import codes
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Query

_FIXED = struct.Struct(">HBB")
_OCTETS = {1: 4, 2: 16}  # by IANA address family, IPv4 and IPv6

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Subnet(NamedTuple):
    """One client subnet option: the network whose client asks, and in a reply the network it is good for."""

    family: int
    """1 for IPv4, 2 for IPv6; 0 if no address is given."""
    bits: int
    """SOURCE PREFIX-LENGTH: how much of the address is told."""
    address: bytes
    """Packed, as long as its family has it, the bits that are not told 0; empty for family 0."""
    scope: int = 0

    def data(self, scope: int = 0) -> bytes:
        """The option's data, with this SCOPE PREFIX-LENGTH."""
        # RFC 7871 section 6: no more octets than the bits need.
        return _FIXED.pack(self.family, self.bits, scope) + self.address[: (self.bits + 7) // 8]

    def answered(self, scope: int) -> bytes:
        """The option's data in a reply that depends on so many leading bits of the address."""
        # RFC 7871 section 7.1.2: who tells nothing of the client can only be given what is for all.
        return self.data(min(scope, len(self.address) * 8) if self.bits else 0)

    def part(self, bits: int) -> bytes:
        """What distinguishes the network of so many leading bits from all others."""
        return bytes((self.family, bits)) + leading(self.address, bits)


def read(data: bytes) -> Subnet:
    """The subnet an option's data names; ValueError says what is wrong with it."""
    if len(data) < _FIXED.size:
        raise ValueError("a client subnet that ends early")
    family, bits, scope = _FIXED.unpack_from(data)
    address = data[_FIXED.size :]
    octets = _OCTETS.get(family)
    if octets is None:
        # RFC 7871 section 7.2.1 rejects unknown families; 0 stands for none, where nothing is told of the client.
        if family or bits or scope or address:
            raise ValueError(f"a client subnet of the unknown family {family}")
        return Subnet(0, 0, b"")
    if max(bits, scope) > octets * 8:
        raise ValueError(f"a client subnet with a prefix of {max(bits, scope)} bits")
    # RFC 7871 section 6: too many or too few octets, or bits set behind the prefix, are to be rejected.
    if len(address) != (bits + 7) // 8:
        raise ValueError(f"a client subnet with {len(address)} octets for {bits} bits")
    if bits % 8 and address[-1] << bits % 8 & 0xFF:
        raise ValueError("a client subnet with bits set behind its prefix")
    return Subnet(family, bits, address.ljust(octets, b"\0"), scope)


def asked(options: Iterable[tuple[int, bytes]]) -> Subnet | None:
    """The subnet among a query's EDNS options; ValueError for one that is wrong, or if there are several."""
    found = [data for code, data in options if code == codes.OPTION_SUBNET]
    if not found:
        return None
    if len(found) > 1:
        raise ValueError("more than one client subnet")
    subnet = read(found[0])
    if subnet.scope:
        # RFC 7871 section 6: it is the reply that has a scope.
        raise ValueError("a client subnet with a scope in a query")
    return subnet


def of(query: Query) -> Subnet | None:
    """The client subnet of a query that came over the wire, which is known to be well formed."""
    edns = query.edns
    # What options mean in other versions of EDNS nobody knows.
    return asked(edns.options) if edns is not None and edns.options and not edns.version else None


def leading(address: bytes, bits: int) -> bytes:
    """So many leading bits of an address, the rest of their last octet 0."""
    part = address[: (bits + 7) // 8]
    return part[:-1] + bytes((part[-1] & 0xFF00 >> bits % 8,)) if bits % 8 and part else part


class Networks:
    """A set of networks that knows how much of an address decides whether it is in one of them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        held = tuple(networks)
        self.all = {network.version for network in held if not network.prefixlen} == {4, 6}
        """Whether every address is in it."""
        self._spans = {
            4: _merged(network for network in held if network.version == 4),
            16: _merged(network for network in held if network.version == 6),
        }

    def find(self, address: bytes) -> tuple[bool, int]:
        """Whether the address is in one of them, and how many of its leading bits decide that."""
        starts, ends = self._spans[len(address)]
        width = len(address) * 8
        number = int.from_bytes(address, "big")
        at = bisect_right(starts, number) - 1
        inside = at >= 0 and number <= ends[at]
        if inside:
            low, high = starts[at], ends[at]
        else:
            low = ends[at] + 1 if at >= 0 else 0
            high = starts[at + 1] - 1 if at + 1 < len(starts) else (1 << width) - 1
        free = width
        # The largest network around the address that reaches neither what lies below nor what lies above.
        if low:
            free = min(free, (number ^ low - 1).bit_length() - 1)
        if high < (1 << width) - 1:
            free = min(free, (number ^ high + 1).bit_length() - 1)
        return inside, width - free


def _merged(networks: Iterable[Network]) -> tuple[list[int], list[int]]:
    """The first and the last addresses of the networks in order, those that touch taken together."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted((int(net.network_address), int(net.broadcast_address)) for net in networks):
        if ends and start <= ends[-1] + 1:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def network(text: str) -> Network:
    """The network an address or a prefix such as ``192.0.2.0/24`` means; ValueError for what is neither.

    One of IPv4 addresses mapped into IPv6 is that of the IPv4 addresses: as such they are known here.
    """
    length = text.partition("/")[2]
    try:
        if "%" in text or not (length.isdecimal() or "/" not in text):
            raise ValueError
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"expected an IP address or a prefix such as 192.0.2.0/24, found {text!r}") from None
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    # RFC 4291 section 2.5.5.2: the IPv4 address stands behind 96 bits.
    return found if mapped is None or found.prefixlen < 96 else ipaddress.IPv4Network((mapped, found.prefixlen - 96))


EVERYBODY = Networks((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))


def sharing(address: bytes, bits: int) -> Keep:
    """For clients whose address shares so many leading bits with this one; never for those of the other family."""
    return Keep(prefix4=bits, prefix6=128) if len(address) == 4 else Keep(prefix4=32, prefix6=bits)


class Asker(NamedTuple):
    """The address an answer may be chosen by, and what depends on it."""

    address: bytes
    named: bool = False
    """Whether it is that of the query's client subnet, not that of the sender."""
    chosen: Keep = ALWAYS
    """What it depended on to take the one or the other."""

    @property
    def text(self) -> str:
        """The address in text."""
        return socket.inet_ntop(socket.AF_INET if len(self.address) == 4 else socket.AF_INET6, self.address)

    def keep(self, bits: int) -> Keep:
        """For whom an answer holds that was chosen by so many leading bits of the address.

        By none means by its family: there are databases of a single one.
        """
        if self.named:
            # RFC 7871 section 7.3.1: a scope of 0 would say that the answer is for all networks, of both families.
            return self.chosen & Keep(scope=max(bits, 1))
        return self.chosen & sharing(self.address, bits)


def asker(query: Query, believed: Networks | None) -> Asker:
    """Whose address to choose an answer by: the client subnet's if its sender is among those believed.

    A subnet is a hint of where a client is and can be made up by anybody: it must never decide who is let in.
    """
    subnet = of(query) if believed is not None else None
    # RFC 7871 section 7.1.2: with no bits told, the sender's own address is all there is to go by.
    if believed is None or subnet is None or not subnet.bits:
        return Asker(query.client.address)
    if believed.all:
        return Asker(subnet.address, named=True)
    is_believed, bits = believed.find(query.client.address)
    chosen = sharing(query.client.address, bits)
    return (
        Asker(subnet.address, named=True, chosen=chosen) if is_believed else Asker(query.client.address, chosen=chosen)
    )
