"""The records that values become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from pydnsk8s import codes, names, rdata
from pydnsk8s.etcd.values import ADDRESSES, Value, name_of
from pydnsk8s.message import Record
from pydnsk8s.plugins.etcd.reading import Answer, Found, Reading

_TIMERS = (7200, 1800, 86_400, 30)  # refresh, retry, expire and minimum, in seconds, as CoreDNS has them
_SOA_TTL = 30
_PRIORITY = 10  # of values that say nothing about it
_WEIGHT = 100

Resolve = Callable[[bytes], Iterable[Record]]
"""Finds the addresses of a host, to send along."""


@lru_cache(64)
def soa(zone: bytes, serial: int) -> Record:
    """The zone's SOA; its own TTL is also that of negative replies (RFC 2308 section 3)."""
    primary, mailbox = names.join(b"ns", b"dns", to=zone), names.join(b"hostmaster", to=zone)
    return Record(zone, codes.SOA, _SOA_TTL, rdata.soa(primary, mailbox, serial, timers=_TIMERS))


def grouped(values: Sequence[Value]) -> Sequence[Value]:
    """Of these values, those in the group of the shortest key and those in none.

    All of them if the shortest key is in no group, or if others as short are in another one.
    """
    if len(values) < 2 or not any(value.group for value in values):
        return values
    depth = min(value.path.count(b"/") for value in values)
    shortest = [value.group for value in values if value.path.count(b"/") == depth]
    if not shortest[0] or any(group not in ("", shortest[0]) for group in shortest):
        return values
    return [value for value in values if value.group in ("", shortest[0])]


def alias(reading: Reading, owner: bytes, value: Value) -> Record:
    """The CNAME record of a value whose host is a name."""
    return Record(owner, codes.CNAME, reading.ttl(value), value.host)


def address(reading: Reading, owner: bytes, value: Value) -> Record:
    """The A or AAAA record of a value whose host is an address."""
    return Record(owner, value.kind, reading.ttl(value), value.host)


def text(reading: Reading, owner: bytes, value: Value) -> Record:
    """The TXT record of a value."""
    return Record(owner, codes.TXT, reading.ttl(value), rdata.txt(value.text))


def pointers(reading: Reading, values: Iterable[Value]) -> Answer:
    """The PTR records of the values whose hosts are names."""
    named = {value.host: value for value in values if value.kind == codes.CNAME}
    owner = reading.query.name
    return Answer([Record(owner, codes.PTR, reading.ttl(value), host) for host, value in named.items()])


def services(reading: Reading, values: Sequence[Value], resolve: Resolve) -> Answer:
    """The SRV records of the values (RFC 2782); a weight is a share of 100 at its priority."""
    total: Counter[int] = Counter()
    for value in values:
        total[value.priority or _PRIORITY] += value.weight or _WEIGHT

    def data(value: Value, target: bytes) -> bytes:
        priority = value.priority or _PRIORITY
        share = _WEIGHT * (value.weight or _WEIGHT) // total[priority]
        return rdata.srv(priority, max(share, 1), value.port, target)

    return _pointing(reading, [value for value in values if value.port >= 0], codes.SRV, data, resolve)


def mail(reading: Reading, values: Iterable[Value], resolve: Resolve) -> Answer:
    """The MX records of the values that are for mail."""

    def data(value: Value, target: bytes) -> bytes:
        return rdata.mx(value.priority or _PRIORITY, target)

    return _pointing(reading, [value for value in values if value.mail], codes.MX, data, resolve)


def servers(reading: Reading, found: Found, resolve: Resolve) -> Answer:
    """The NS records of the zone and their glue."""
    return _pointing(reading, found.values, codes.NS, lambda _, target: target, resolve)


def _pointing(
    reading: Reading, values: Sequence[Value], type: int, data: Callable[[Value, bytes], bytes], resolve: Resolve
) -> Answer:
    """Records that point at the hosts of values, and the addresses there."""
    owner = reading.query.name
    answer: dict[bytes, Record] = {}
    additional: dict[Record, None] = {}
    resolved: set[bytes] = set()
    for value in values:
        if not value.kind:
            continue
        target = value.host
        if value.kind in ADDRESSES.values():
            target = _target(owner, value)
            additional[address(reading, target, value)] = None
        elif target not in resolved:
            resolved.add(target)
            additional.update(dict.fromkeys(resolve(target)))
        pointer = data(value, target)
        answer.setdefault(pointer, Record(owner, type, reading.ttl(value), pointer))
    return Answer(list(answer.values()), list(additional))


def _target(owner: bytes, value: Value) -> bytes:
    """The name of an address, made from its key."""
    name = name_of(value.owner)
    # Found by a wildcard, it goes by the name asked for (RFC 4592 section 2.2.1).
    return owner if name.startswith(b"\1*") else name
