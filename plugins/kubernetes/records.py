"""The records that what was found becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydnsk8s import codes, names, rdata
from pydnsk8s.message import Query, Record
from pydnsk8s.plugins.kubernetes.finding import Spot, endpoint_name
from pydnsk8s.plugins.kubernetes.options import Options

_TIMERS = (7200, 1800, 86_400)  # refresh, retry and expire, in seconds, as CoreDNS has them
_NEGATIVE = 300  # seconds; a denial is not believed for longer


@lru_cache(64)
def soa(zone: bytes, ttl: int, serial: int) -> Record:
    """The zone's SOA; its own TTL is also that of negative replies (RFC 2308 section 3)."""
    primary = names.join(b"ns", b"dns", to=zone)
    data = rdata.soa(primary, names.join(b"hostmaster", to=zone), serial, timers=(*_TIMERS, ttl))
    return Record(zone, codes.SOA, min(ttl, _NEGATIVE), data)


OCTETS = {codes.A: 4, codes.AAAA: 16}


def of_addresses(query: Query, packed: Iterable[bytes], ttl: int) -> list[Record]:
    """The A or AAAA records of the addresses of that type, each once."""
    octets = OCTETS[query.type]
    return [Record(query.name, query.type, ttl, each) for each in dict.fromkeys(packed) if len(each) == octets]


def addresses(query: Query, spots: Iterable[Spot], ttl: int) -> list[Record]:
    """The A or AAAA records of the spots, each address once."""
    return of_addresses(query, [spot.address for spot in spots], ttl) if query.type in OCTETS else []


def services(
    query: Query, spots: Sequence[Spot], service: bytes, options: Options
) -> tuple[list[Record], list[Record]]:
    """The SRV records of the spots (RFC 2782), and the addresses of their targets; ``service`` is its whole name."""
    # All weigh the same; the shares are worked out before those that say the same are joined.
    weight = max(1, 100 // (sum(len(spot.ports) or 1 for spot in spots) or 1))
    answer: dict[tuple[bytes, int], Record] = {}
    additional: dict[tuple[bytes, bytes], Record] = {}
    for spot in spots:
        target = _target(spot, service, options)
        for port in spot.ports:
            if port.number and target:
                data = rdata.srv(0, weight, port.number, target)
                answer[target, port.number] = Record(query.name, codes.SRV, options.ttl, data)
                additional[target, spot.address] = address(target, spot.address, options.ttl)
    return list(answer.values()), list(additional.values())


def _target(spot: Spot, service: bytes, options: Options) -> bytes | None:
    if spot.endpoint is None:
        return service
    label = endpoint_name(spot.endpoint, pod_names=options.pod_names)
    if spot.cluster is None:
        return below(service, label)
    # Without the cluster's id an imported endpoint has no name.
    return below(service, label, spot.cluster) if spot.cluster else None


def below(zone: bytes, *labels: str) -> bytes | None:
    """The name these labels make in a zone; None if nobody could ask for it (RFC 1035 section 2.3.4)."""
    try:
        return names.join(*(label.encode("latin-1") for label in labels), to=zone)
    except ValueError:
        return None


def address(name: bytes, packed: bytes, ttl: int) -> Record:
    """The A or AAAA record for a packed address."""
    return Record(name, codes.A if len(packed) == 4 else codes.AAAA, ttl, packed)


def renamed(held: Iterable[Record], query: Query) -> list[Record]:
    """The same data under the name that was asked for, each once."""
    return list(dict.fromkeys(record._replace(name=query.name) for record in held))
