"""Record data in wire form: where the names stand in it, how to build it, how to read and write its text."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydnsk8s import codes, names

_MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291 section 2.5.5.2


class Layout(NamedTuple):
    """Where the names in a type's data are: behind ``skip`` octets and ``strings`` character strings."""

    skip: int
    names: int
    strings: int = 0
    compress: bool = False
    """Whether a sender may compress them: only in the types of RFC 1035 (RFC 3597 section 4)."""


LAYOUTS: dict[int, Layout] = {
    codes.NS: Layout(0, 1, compress=True),
    3: Layout(0, 1, compress=True),
    4: Layout(0, 1, compress=True),
    codes.CNAME: Layout(0, 1, compress=True),
    codes.SOA: Layout(0, 2, compress=True),
    7: Layout(0, 1, compress=True),
    8: Layout(0, 1, compress=True),
    9: Layout(0, 1, compress=True),
    codes.PTR: Layout(0, 1, compress=True),
    14: Layout(0, 2, compress=True),
    codes.MX: Layout(2, 1, compress=True),
    17: Layout(0, 2),  # RP
    18: Layout(2, 1),  # AFSDB
    21: Layout(2, 1),  # RT
    26: Layout(2, 2),  # PX
    codes.SRV: Layout(6, 1),
    codes.NAPTR: Layout(4, 1, strings=3),
    36: Layout(2, 1),  # KX
    codes.DNAME: Layout(0, 1),
}
"""The types whose data holds names that may arrive compressed (RFC 3597 section 4)."""

_SOA = struct.Struct(">IIIII")
_SRV = struct.Struct(">HHH")


def unmapped(packed: bytes) -> bytes:
    """A packed address; an IPv4 address in IPv6's clothes as one for A records (as CoreDNS does)."""
    return packed[12:] if packed.startswith(_MAPPED) else packed


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """SRV data; the target is an uncompressed name (RFC 2782)."""
    return _SRV.pack(priority, weight, port) + target


def mx(preference: int, exchange: bytes) -> bytes:
    """MX data (RFC 1035 section 3.3.9)."""
    return preference.to_bytes(2, "big") + exchange


def soa(primary: bytes, mailbox: bytes, serial: int, *, timers: tuple[int, int, int, int]) -> bytes:
    """SOA data; the timers are refresh, retry, expire and minimum in seconds (RFC 1035 section 3.3.13)."""
    return primary + mailbox + _SOA.pack(serial & 0xFFFFFFFF, *timers)


def txt(*strings: bytes) -> bytes:
    """TXT data; a string over 255 octets is split (RFC 1035 section 3.3.14)."""
    pieces = [string[at : at + 255] for string in strings for at in range(0, max(len(string), 1), 255)]
    return b"".join(bytes((len(piece),)) + piece for piece in pieces)


def hinfo(cpu: bytes, system: bytes) -> bytes:
    """HINFO data (RFC 1035 section 3.3.2)."""
    return bytes((len(cpu),)) + cpu + bytes((len(system),)) + system


def text(type: int, data: bytes, klass: int = codes.IN) -> str:
    r"""The presentation form of record data; ``\# LENGTH HEX`` for an unknown type (RFC 3597 section 5)."""
    import dns.exception
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    try:
        kind = dns.rdataclass.RdataClass.make(klass), dns.rdatatype.RdataType.make(type)
        return dns.rdata.from_wire(*kind, data, 0, len(data)).to_text()
    except dns.exception.DNSException:
        return f"\\# {len(data)} {data.hex()}".rstrip()


def parse(type: int, text: str, klass: int = codes.IN, origin: bytes = names.ROOT) -> bytes:
    """The wire form of record data in presentation form; ValueError if it does not parse."""
    import dns.exception
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    base = dns.name.from_wire(origin, 0)[0]
    try:
        kind = dns.rdataclass.RdataClass.make(klass), dns.rdatatype.RdataType.make(type)
        data = dns.rdata.from_text(*kind, text, origin=base, relativize=False)
        return data.to_wire(origin=base) or b""
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"not {codes.type_name(type)} data: {text!r} ({error})") from None
