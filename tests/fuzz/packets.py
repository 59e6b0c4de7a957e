"""Real queries, and what becomes of them in careless or evil hands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.update

COREFILE = """
example.org {
    errors
    nsid fuzz
    loadbalance
    minimal
    any
    hosts {
        192.0.2.1 www.example.org
        192.0.2.2 www.example.org
        2001:db8::1 www.example.org
        192.0.2.3 *.wild.example.org
        fallthrough deep.example.org
    }
    whoami
}
log.example.org {
    log
    whoami
}
cache.example.org {
    cache 30 {
        success 1024
        denial 1024
    }
    header {
        response set ra
    }
    whoami
}
192.0.2.0/24 {
    local
    hosts {
        192.0.2.1 www.example.org
    }
}
bind {
    chaos
}
"""
"""Zones with plugins that look at names, types, classes, options and clients."""

NAMES = (
    "www.example.org",
    "none.example.org",
    "a.wild.example.org",
    "deep.example.org",
    "log.example.org",
    "WwW.cAcHe.ExAmPlE.oRg",
    "1.2.0.192.in-addr.arpa",
    "version.bind",
    "example.com",
    ".",
    ".".join(["x" * 60] * 3 + ["example.org"]),
)
TYPES = ("A", "AAAA", "SRV", "PTR", "ANY", "SOA", "DS", "TXT", "HTTPS", "AXFR", "IXFR", "TYPE65280")
_OPTIONS = (3, 8, 9, 10, 11, 12, 65001)


def seeds() -> list[bytes]:
    """Queries as real clients send them, and some as only testers do."""
    queries = [dns.message.make_query(name, type) for name in NAMES for type in TYPES]
    queries += [dns.message.make_query(name, "A", use_edns=0, want_dnssec=True, payload=4096) for name in NAMES]
    for code in _OPTIONS:
        option = dns.edns.GenericOption(dns.edns.OptionType.make(code), b"\0\1\x18\0\xc0\0\2\0")
        queries.append(dns.message.make_query("www.example.org", "A", use_edns=0, options=[option]))
    queries.append(dns.message.make_query("www.example.org", "A", use_edns=1))
    queries.append(dns.message.make_query("version.bind", "TXT", dns.rdataclass.CH))
    for opcode in (dns.opcode.NOTIFY, dns.opcode.STATUS, dns.opcode.IQUERY):
        other = dns.message.make_query("example.org", "SOA")
        other.set_opcode(opcode)
        queries.append(other)
    update = dns.update.UpdateMessage("example.org")
    update.add("www", 300, "A", "192.0.2.1")
    answer = dns.message.make_response(queries[0])
    return [*(query.to_wire() for query in queries), update.to_wire(), answer.to_wire()]


def _flip(draw: random.Random, packet: bytearray) -> None:
    packet[draw.randrange(len(packet))] ^= 1 << draw.randrange(8)


def _put(draw: random.Random, packet: bytearray) -> None:
    packet[draw.randrange(len(packet))] = draw.choice((0, 1, 63, 64, 0x80, 0xBF, 0xC0, 0xFF, draw.randrange(256)))


def _cut(draw: random.Random, packet: bytearray) -> None:
    del packet[draw.randrange(1, len(packet) + 1) :]


def _repeat(draw: random.Random, packet: bytearray) -> None:
    start = draw.randrange(len(packet))
    packet[start:start] = packet[start : start + draw.randrange(1, 40)]


def _insert(draw: random.Random, packet: bytearray) -> None:
    at = draw.randrange(len(packet) + 1)
    packet[at:at] = draw.randbytes(draw.randrange(1, 8))


def _count(draw: random.Random, packet: bytearray) -> None:
    if len(packet) >= 12:
        packet[draw.choice((5, 7, 9, 11))] = draw.choice((0, 1, 2, 3, 255))


def _point(draw: random.Random, packet: bytearray) -> None:
    at = draw.randrange(len(packet))
    packet[at : at + 2] = (0xC000 | draw.randrange(len(packet) + 4)).to_bytes(2, "big")


def _rename(draw: random.Random, packet: bytearray) -> None:
    if len(packet) > 14 and packet[12] < 64:
        packet[13 : 13 + packet[12]] = draw.randbytes(packet[12])


_CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _put, _cut, _repeat, _insert, _count, _point, _rename,
)  # fmt: skip


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """So many packets, the same ones for the same seed; one in eight is left as it was."""
    draw = random.Random(seed)
    originals = seeds()
    for _ in range(count):
        packet = bytearray(draw.choice(originals))
        packet[:2] = draw.randbytes(2)
        if draw.randrange(8):
            for _ in range(draw.choice((1, 1, 1, 2, 4))):
                if packet:
                    draw.choice(_CHANGES)(draw, packet)
        yield bytes(packet)
