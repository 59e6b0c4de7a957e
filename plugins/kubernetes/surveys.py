"""What the cluster has under any name of a zone, so that the gate can answer names that nobody has asked for yet."""

from __future__ import annotations

from collections.abc import Sequence

from pydnsk8s import names
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.named import Named
from pydnsk8s.message import Query
from pydnsk8s.plugins.kubernetes.finding import find
from pydnsk8s.plugins.kubernetes.name import Asked, Part, pod_address, word
from pydnsk8s.plugins.kubernetes.options import Options
from pydnsk8s.plugins.kubernetes.records import OCTETS
from pydnsk8s.survey import ABSENT, ASK, NO_DATA, Outcome, Survey

_SVC, _POD = b"\x03svc", b"\x03pod"
_TOP = frozenset((_SVC, _POD, b"\x03dns", b"\x0bdns-version"))


def survey(index: Index, options: Options, query: Query) -> Survey | None:
    """The zone that the name asked for is in; None where each name has to be asked for."""
    octets, zone = OCTETS.get(query.type), names.closest(query.name, options.zones)
    if octets is None or zone is None or not index.synced:
        return None
    if zone in options.multicluster or names.is_reverse(zone):
        return None
    # Below a zone within, and where names fall through, others have a say.
    others = (*(each for each in options.zones if each != zone), *options.fall.zones)
    if any(names.is_under(each, zone) for each in others) or options.fall.through(zone):
        return None
    return Survey(zone, _Zone(index, options, zone, octets).find)


class _Zone:
    """One zone, and one type of addresses."""

    def __init__(self, index: Index, options: Options, zone: bytes, octets: int) -> None:
        self._at = index.names.at
        self._options = options
        self._border = -len(zone)
        self._octets = octets

    def find(self, name: bytes, starts: Sequence[int]) -> Outcome:
        """What there is under a name."""
        if len(starts) < 3:
            return self._find_above(name, starts)
        first, middle, end = starts[-3:]
        kind = name[end : self._border]
        if kind == _POD:
            return ABSENT if first else self._find_pod(name, middle, end)
        if kind != _SVC or not self._exists(name[middle:end]):
            return ABSENT
        held = self._at(name[first:end])
        if held is None:
            return ABSENT
        if not first:
            return self._of_service(held)
        return self._of_endpoint(held, word(name, 0)) if len(starts) == 4 else ASK

    def _find_above(self, name: bytes, starts: Sequence[int]) -> Outcome:
        """What there is above services and pods."""
        if not starts or name[starts[-1] : self._border] in _TOP:
            return ASK
        return ABSENT

    def _exists(self, namespace: bytes) -> bool:
        served = self._options.namespaces
        return self._at(namespace) is not None and (not served or word(namespace, 0) in served)

    def _find_pod(self, name: bytes, middle: int, end: int) -> Outcome:
        if self._options.pods == "disabled":
            return ABSENT
        address = pod_address(word(name, 0))
        if address is None or not self._exists(name[middle:end]):
            return ABSENT
        if self._options.pods == "verified":
            return ASK
        return address if len(address) == self._octets else NO_DATA

    def _of_service(self, held: Named) -> Outcome:
        service = held.service
        if service is None or not service.cluster_ips or service.type == "ExternalName" or self._options.ignore_empty:
            return ASK
        return self._only(service.cluster_ips)

    def _of_endpoint(self, held: Named, label: str) -> Outcome:
        spots = held.by_label.get(label, ()) if held.by_label else ()
        if len(spots) == 1 and label != "_zone":
            # Most by far: an endpoint whose name is looked up in a table that an earlier question made.
            address: bytes = spots[0].address
            return address if len(address) == self._octets else NO_DATA
        found = find(held, self._options, Asked(Part.SERVICE, endpoint=label), multicluster=False)
        if found is None:
            return ABSENT
        return ASK if found.alias else self._only([spot.address for spot in found.spots])

    def _only(self, addresses: Sequence[bytes]) -> Outcome:
        """The only address of the type."""
        found = NO_DATA
        for address in addresses:
            if len(address) == self._octets and address != found:
                if found:
                    return ASK
                found = address
        return found
