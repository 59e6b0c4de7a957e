"""What the cluster has under any name of a zone, so that the gate can answer names that nobody has asked for yet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pydnsk8s import codes, names
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.named import Named
from pydnsk8s.kube.objects import Service
from pydnsk8s.message import Query
from pydnsk8s.plugins.kubernetes.finding import find
from pydnsk8s.plugins.kubernetes.name import Asked, Part, bare, pod_address, word
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.records import OCTETS
from pydnsk8s.survey import ABSENT, ASK, NO_DATA, Outcome, Survey

_SVC, _POD = b"\x03svc", b"\x03pod"
_FEW = 5  # objects of a headless service that are looked through, itself and its slices
_MOST = 400  # addresses behind a name that are looked through
_TOP = frozenset((_SVC, _POD, b"\x03dns", b"\x0bdns-version"))


def survey(index: Index, options: Options, query: Query) -> Survey | None:
    """The zone that the name asked for is in; None where each name has to be asked for."""
    zone = names.closest(query.name, options.zones)
    if zone is None or zone in options.multicluster or names.is_reverse(zone) or not index.synced:
        return None
    # Below a zone within, and where names fall through, others have a say.
    others = (*(each for each in options.zones if each != zone), *options.fall.zones)
    if any(names.is_under(each, zone) for each in others) or options.fall.through(zone):
        return None
    if query.type == codes.SRV:
        return Survey(zone, _Ports(index, options, zone).find)
    return Survey(zone, _Addresses(index, options, zone, OCTETS[query.type]).find)


class _Zone:
    """One zone, and one type of question."""

    def __init__(self, index: Index, options: Options, zone: bytes) -> None:
        self._at = index.names.at
        self._options = options
        self._served = options.namespaces
        self._border = -len(zone)

    def find(self, name: bytes, starts: Sequence[int]) -> Outcome:
        """What there is under a name."""
        if len(starts) < 3:
            return ASK if not starts or name[starts[-1] : self._border] in _TOP else ABSENT
        first, middle, end = starts[-3:]
        kind = name[end : self._border]
        held = None
        if kind == _SVC:
            held = self._at(name[first:end])
        if held is None and (kind != _POD or first):
            return ABSENT
        namespace = name[middle:end]
        if self._at(namespace) is None or (self._served and word(namespace, 0) not in self._served):
            return ABSENT
        return self._of_pod(name) if held is None else self._of_name(held, name, starts)

    def _of_name(self, held: Named, name: bytes, starts: Sequence[int]) -> Outcome:
        raise NotImplementedError

    def _of_pod(self, name: bytes) -> Outcome:
        raise NotImplementedError


class _Addresses(_Zone):
    """Addresses of one family."""

    def __init__(self, index: Index, options: Options, zone: bytes, octets: int) -> None:
        super().__init__(index, options, zone)
        self._octets = octets

    def _of_name(self, held: Named, name: bytes, starts: Sequence[int]) -> Outcome:
        if len(starts) == 4:
            return self._of_endpoint(held, word(name, 0))
        service = held.service
        if len(starts) > 4 or service is None or self._options.ignore_empty:
            return ASK
        addresses = service.cluster_ips
        if len(addresses) == 1:
            # The rule.
            return addresses[0] if len(addresses[0]) == self._octets else NO_DATA
        if service.headless:
            return self._of_endpoints(held, service)
        return self._all(addresses) if addresses else ASK

    def _of_endpoints(self, held: Named, service: Service) -> Outcome:
        if len(held.objects) > _FEW:
            return ASK
        behind = [endpoint.address for each in held.slices(service.name) for endpoint in each.endpoints]
        return self._all(behind) if behind else ABSENT

    def _of_endpoint(self, held: Named, label: str) -> Outcome:
        spots = held.by_label.get(label, ()) if held.by_label else ()
        if len(spots) == 1 and label != "_zone":
            # Most by far: an endpoint in the table that an earlier question made.
            return self._lone(spots[0].address)
        found = find(held, self._options, Asked(Part.SERVICE, endpoint=label), multicluster=False)
        if found is None:
            return ABSENT
        return ASK if found.alias else self._all([spot.address for spot in found.spots])

    def _of_pod(self, name: bytes) -> Outcome:
        address = None if self._options.pods == "disabled" else pod_address(word(name, 0))
        if address is None:
            return ABSENT
        if self._options.pods == "verified":
            return ASK
        return self._lone(address)

    def _lone(self, address: bytes) -> Outcome:
        """What a name with this address alone has."""
        return address if len(address) == self._octets else NO_DATA

    def _all(self, addresses: Sequence[bytes]) -> Outcome:
        """What a name with these addresses has: those of the family, each once."""
        if len(addresses) > _MOST:
            return ASK
        octets = self._octets
        return b"".join([address for address in dict.fromkeys(addresses) if len(address) == octets])


class _Ports(_Zone):
    """Named ports of services that have one address."""

    def _of_name(self, held: Named, name: bytes, starts: Sequence[int]) -> Outcome:
        service = held.service
        if len(starts) != 5 or service is None or len(service.cluster_ips) != 1 or self._options.ignore_empty:
            return ASK
        port, protocol = _port(name[: starts[2]])
        numbers = [each.number for each in service.ports if each.name == port and each.protocol == protocol]
        if len(numbers) != 1 or not numbers[0]:
            return ASK
        return numbers[0].to_bytes(2, "big") + service.cluster_ips[0]

    def _of_pod(self, name: bytes) -> Outcome:
        return ASK


@lru_cache(256)
def _port(labels: bytes) -> tuple[str, str]:
    """The port's name and the protocol that two labels ask for: few of them, again and again."""
    return bare(word(labels, 0)), bare(word(labels, 1 + labels[0]))
