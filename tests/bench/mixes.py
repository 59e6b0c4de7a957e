"""What applications ask: names as they write them, made into queries by a libc's search path, drawn from a seed."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TypeAlias

from tests.bench.outside import NODES, VENDOR
from tests.bench.question import FLOOD, INSIDE, NOERROR, NXDOMAIN, OUTSIDE, Question
from tests.bench.tiers import VENDORS, ZONE, Cluster, Service, vendor

Lookup: TypeAlias = Iterator[Question]

MIXES: dict[str, dict[str, float]] = {
    "mixed": {
        "short": 40, "cross": 25, "svc": 10, "full": 5, "dotted": 5, "external": 12,
        "srv": 1, "endpoint": 0.75, "pod": 0.25, "ptr": 0.5, "missing": 0.5,
    },
    "external": {
        "short": 15, "cross": 10, "svc": 5, "full": 10, "dotted": 2, "external": 55,
        "srv": 1, "endpoint": 0.75, "pod": 0.25, "ptr": 0.5, "missing": 0.5,
    },
    "internal": {"dotted": 97, "srv": 1, "endpoint": 0.5, "pod": 0.5, "ptr": 1},
}  # fmt: skip
"""Of a hundred lookups, how many are of which kind: each is a method of :class:`Asker`."""
_SERVICES_EXPONENT = 1.0
_HOSTS_EXPONENT = 0.91  # as measured for web sites: Breslau and others, INFOCOM 1999, section III
_GONE = 500  # names that are looked for and not there


def mix(cluster: Cluster, name: str, lookups: int, *, seed: int = 53) -> list[Question]:
    """The queries of so many lookups, in order."""
    asker = Asker(cluster, seed, absolute=name == "internal")
    kinds: dict[str, Callable[[], Lookup]] = {
        "short": asker.short, "cross": asker.cross, "svc": asker.svc, "full": asker.full, "dotted": asker.dotted,
        "external": asker.external, "srv": asker.srv, "endpoint": asker.endpoint, "pod": asker.pod, "ptr": asker.ptr,
        "missing": asker.missing,
    }  # fmt: skip
    shares = MIXES[name]
    draw = random.Random(f"{seed}/{name}")
    drawn = draw.choices(list(shares), list(shares.values()), k=lookups)
    return [question for kind in drawn for question in kinds[kind]()]


class Asker:
    """The pods of a cluster: a few names are asked for often, most seldom (Zipf's law)."""

    def __init__(self, cluster: Cluster, seed: int, *, absolute: bool = False) -> None:
        self._draw = random.Random(seed)
        self._cluster = cluster
        self._absolute = absolute
        self._popular = self._draw.sample(cluster.services, len(cluster.services))
        self._of_services = _Zipf(len(cluster.services), _SERVICES_EXPONENT, self._draw)
        self._of_hosts = _Zipf(VENDORS, _HOSTS_EXPONENT, self._draw)

    def short(self) -> Lookup:
        """``web``, from its own namespace."""
        service = self._service()
        return _search(service.name, service.namespace, found=0, alias=service.alias)

    def cross(self) -> Lookup:
        """``web.shop``, from anywhere."""
        service = self._service()
        return _search(f"{service.name}.{service.namespace}", self._namespace(), found=1, alias=service.alias)

    def svc(self) -> Lookup:
        """``web.shop.svc``."""
        service = self._service()
        return _search(service.path, self._namespace(), found=2, alias=service.alias)

    def full(self) -> Lookup:
        """``web.shop.svc.cluster.local``: four dots are too few to be tried as they stand."""
        service = self._service()
        return _search(f"{service.path}.{ZONE}", self._namespace(), found=4, alias=service.alias)

    def dotted(self) -> Lookup:
        """``web.shop.svc.cluster.local.``: a dot at the end, no search."""
        service = self._service()
        return _pair(f"{service.path}.{ZONE}", NOERROR, OUTSIDE if service.alias else INSIDE)

    def external(self) -> Lookup:
        """A host outside the cluster, searched for inside first."""
        return _search(vendor(self._of_hosts.draw()), self._namespace(), found=4)

    def srv(self) -> Lookup:
        """A named port; an alias has none."""
        service = self._service()
        rcode = NXDOMAIN if service.kind == "external" else NOERROR
        yield Question(f"_http._tcp.{service.path}.{ZONE}", "SRV", rcode)

    def endpoint(self) -> Lookup:
        """A pod of a headless service, by its host name or address."""
        service = self._draw.choice(self._cluster.headless)
        name = f"{self._draw.choice(service.endpoints).label}.{service.name}.{service.namespace}"
        if self._absolute:
            return _pair(f"{name}.svc.{ZONE}", NOERROR)
        return _search(name, self._namespace(), found=1)

    def pod(self) -> Lookup:
        """A pod by its address and namespace."""
        return _pair(f"{self._draw.choice(list(self._cluster.pods))}.{ZONE}", NOERROR)

    def ptr(self) -> Lookup:
        """An address backwards: of a service, of a pod of a headless one, or one time in ten nobody's."""
        address, _ = self._draw.choice(list(self._draw.choice(self._cluster.headless).pointers()))
        chance = self._draw.random()
        if chance < 0.5:
            service = self._service()
            address = service.address if service.kind == "cluster" else address
        nobody = chance > 0.9
        name = (address + (1 << 22) if nobody else address).reverse_pointer
        yield Question(name, "PTR", *((NXDOMAIN, OUTSIDE) if nobody else (NOERROR, INSIDE)))

    def missing(self) -> Lookup:
        """A service that is gone: the whole search path in vain."""
        name = f"gone-{self._draw.randrange(_GONE)}.{self._namespace()}"
        return _search(name, self._namespace(), found=None)

    def _service(self) -> Service:
        return self._popular[self._of_services.draw()]

    def _namespace(self) -> str:
        return self._draw.choice(self._cluster.namespaces)


class _Zipf:
    """Ranks from 0; the n-th comes 1/n to a power as often as the first."""

    def __init__(self, number: int, exponent: float, draw: random.Random) -> None:
        self._sums = list(accumulate((rank + 1) ** -exponent for rank in range(number)))
        self._random = draw.random

    def draw(self) -> int:
        return bisect(self._sums, self._random() * self._sums[-1])


def _search(name: str, namespace: str, found: int | None, alias: str = "") -> Lookup:
    """The queries of a pod in the namespace, with ndots:5: each domain of its search path first, until one is found."""
    for place, domain in enumerate((f".{namespace}.svc.{ZONE}", f".svc.{ZONE}", f".{ZONE}", f".{NODES}", "")):
        there = place == found
        forwarded = not f"{name}{domain}".endswith(ZONE) or (there and alias)
        yield from _pair(name + domain, NOERROR if there else NXDOMAIN, OUTSIDE if forwarded else INSIDE)
        if there:
            return


def _pair(name: str, rcode: str, group: str = INSIDE) -> Lookup:
    """Both addresses, as getaddrinfo asks for them; a name with only one is no error (RFC 2308 section 2.2)."""
    yield Question(name, "A", rcode, group)
    yield Question(name, "AAAA", rcode, group)


def once(cluster: Cluster, *, seed: int = 53) -> list[Question]:
    """Names in the cluster's zone, each asked once, in a drawn order: services, endpoints, and what is not there."""
    asked = []
    for service in cluster.services:
        path = f"{service.path}.{ZONE}"
        asked += [Question(path, "A"), Question(f"gone-{path}", "A", NXDOMAIN)]
        if service.kind == "headless":
            asked += (Question(f"{each.label}.{path}", "A") for each in service.endpoints)
        elif service.kind == "cluster":
            asked += [Question(path, "AAAA"), Question(f"_http._tcp.{path}", "SRV")]
    random.Random(seed).shuffle(asked)
    return asked


def flood(cluster: Cluster, *, seed: int = 53) -> list[Question]:
    """What nobody has, to be asked with ever other first labels: a third each below the zone, a namespace, a vendor."""
    draw = random.Random(f"{seed}/flood")
    asked = []
    for namespace in cluster.namespaces:
        for zone in (ZONE, f"{namespace}.svc.{ZONE}", VENDOR):
            asked.append(Question(f"{draw.getrandbits(64):016x}.{zone}", "A", NXDOMAIN, FLOOD))
    return asked


def freshened(questions: list[Question], *, seed: int = 53) -> list[Question]:
    """The same with a name that only the upstream can know, and nobody has asked for, after every hundred."""
    draw = random.Random(f"{seed}/fresh")
    asked = []
    for each, question in enumerate(questions):
        asked.append(question)
        if each % 100 == 99:
            asked.append(Question(f"{draw.getrandbits(64):016x}.{VENDOR}", "A", NXDOMAIN, OUTSIDE))
    return asked
