"""The records that what was found becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydnsk8s import codes, names, rdata
from pydnsk8s.message import Query, Record
from pydnsk8s.plugins.kubernetes.finding import Entry

_TIMERS = (7200, 1800, 86_400)  # refresh, retry and expire, in seconds, as CoreDNS has them
_NEGATIVE = 300  # seconds; a denial is not believed for longer


@lru_cache(64)
def soa(zone: bytes, ttl: int, serial: int) -> Record:
    """The zone's SOA; its own TTL is also that of negative replies (RFC 2308 section 3)."""
    primary = names.join(b"ns", b"dns", to=zone)
    data = rdata.soa(primary, names.join(b"hostmaster", to=zone), serial, timers=(*_TIMERS, ttl))
    return Record(zone, codes.SOA, min(ttl, _NEGATIVE), data)


def addresses(query: Query, entries: Iterable[Entry], ttl: int) -> list[Record]:
    """The A or AAAA records of the entries, each address once."""
    size = {codes.A: 4, codes.AAAA: 16}.get(query.type, 0)
    held = dict.fromkeys(entry.address for entry in entries if len(entry.address) == size)
    return [Record(query.name, query.type, ttl, address) for address in held]


def services(query: Query, entries: Sequence[Entry], suffix: bytes, ttl: int) -> tuple[list[Record], list[Record]]:
    """The SRV records of the entries (RFC 2782), and the addresses of their targets."""
    # All entries weigh the same; the shares are worked out before those that say the same are joined.
    weight = max(1, 100 // len(entries)) if entries else 0
    named: dict[tuple[str, ...], bytes] = {}
    answer: dict[tuple[bytes, int], Record] = {}
    additional: dict[tuple[bytes, bytes], Record] = {}
    for entry in entries:
        if not entry.port:
            continue
        if entry.target not in named:
            named[entry.target] = names.join(*(label.encode("latin-1") for label in entry.target), to=suffix)
        target = named[entry.target]
        if (target, entry.port) not in answer:
            data = rdata.srv(0, weight, entry.port, target)
            answer[target, entry.port] = Record(query.name, codes.SRV, ttl, data)
        if (target, entry.address) not in additional:
            additional[target, entry.address] = address(target, entry.address, ttl)
    return list(answer.values()), list(additional.values())


def address(name: bytes, packed: bytes, ttl: int) -> Record:
    """The A or AAAA record for a packed address."""
    return Record(name, codes.A if len(packed) == 4 else codes.AAAA, ttl, packed)


def renamed(held: Iterable[Record], query: Query) -> list[Record]:
    """The same data under the name that was asked for, each once."""
    return list(dict.fromkeys(record._replace(name=query.name) for record in held))
