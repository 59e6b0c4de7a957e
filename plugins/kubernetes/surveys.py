"""What the cluster has beside a name, so that the gate can answer names that nobody has asked for yet."""

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
from pydnsk8s.survey import ABSENT, ASK, NO_DATA, Outcome, Survey, nothing

_SVC, _POD, _DNS = b"\x03svc", b"\x03pod", b"\x03dns"
_TOP = frozenset((_SVC, _POD, _DNS, b"\x0bdns-version"))


def survey(index: Index, options: Options, query: Query) -> Survey | None:
    """What there is below the parent of the name asked for; None where each name has to be asked for."""
    octets, cut = OCTETS.get(query.type, 0), names.cut(query.name, options.zones)
    if not octets or cut is None or not index.synced:
        return None
    zone, starts = cut
    parent = names.parent(query.name)
    if not starts or zone in options.multicluster or names.is_reverse(zone) or _is_divided(parent, options):
        return None
    if len(starts) == 1:
        return Survey(lambda label: ASK if label in _TOP else ABSENT)
    kind = query.name[starts[-1] : len(query.name) - len(zone)]
    if len(starts) == 2:
        return None if kind in (_SVC, _POD, _DNS) else Survey(nothing)
    if kind not in (_SVC, _POD):
        return Survey(nothing)
    first, middle, end = starts[-3:]
    within = query.name[middle:end]
    namespace = None if options.namespaces and word(within, 0) not in options.namespaces else index.names.at(within)
    if namespace is None:
        return Survey(nothing, frozenset((index.stamp(("namespace", word(within, 0))),)))
    if kind == _POD:
        return _of_pods(options, namespace, octets) if not first else Survey(nothing)
    return _of_service(index, options, query.name, starts, namespace, octets)


def _is_divided(parent: bytes, options: Options) -> bool:
    """Whether some name below the parent is answered otherwise than as one of its zone."""
    for zone in options.fall.zones:
        if names.is_under(parent, zone) or names.is_under(zone, parent):
            return True
    return any(names.parent(zone) == parent for zone in options.zones)


def _of_pods(options: Options, namespace: Named, octets: int) -> Survey | None:
    """The pods of a namespace, by their addresses."""
    if options.pods == "verified":
        return None

    def pod(label: bytes) -> Outcome:
        address = None if options.pods == "disabled" else pod_address(word(label, 0))
        if address is None:
            return ABSENT
        return address if len(address) == octets else NO_DATA

    return Survey(pod, frozenset((namespace.stamp,)))


def _of_service(
    index: Index, options: Options, name: bytes, starts: Sequence[int], namespace: Named, octets: int
) -> Survey | None:
    """The services of a namespace, or what is below one of them."""
    first, middle, end = starts[-3:]
    if not first:
        return _of_namespace(index, options, name[middle:end], namespace, octets)
    held = index.names.at(name[first:end])
    if held is None:
        absent = index.stamp(("service", word(name, middle), word(name, first)))
        return Survey(nothing, frozenset((namespace.stamp, absent)))
    if len(starts) > 4:
        return None
    service = held

    def endpoint(label: bytes) -> Outcome:
        asked = Asked(Part.SERVICE, endpoint=label[1:].decode("latin-1"))
        found = find(service, options, asked, multicluster=False)
        if found is None:
            return ABSENT
        return ASK if found.alias else _only([spot.address for spot in found.spots], octets)

    return Survey(endpoint, frozenset((namespace.stamp, held.stamp)))


def _of_namespace(index: Index, options: Options, path: bytes, namespace: Named, octets: int) -> Survey:
    """The services of a namespace by their names."""
    at = index.names.at

    def service(label: bytes) -> Outcome:
        held = at(label + path)
        if held is None:
            return ABSENT
        found = held.service
        if found is None or options.ignore_empty or not found.cluster_ips or found.type == "ExternalName":
            return ASK
        return _only(found.cluster_ips, octets)

    return Survey(service, frozenset((namespace.stamp,)))


def _only(addresses: Sequence[bytes], octets: int) -> Outcome:
    """The only address of so many octets."""
    found = NO_DATA
    for address in addresses:
        if len(address) == octets and address != found:
            if found:
                return ASK
            found = address
    return found
