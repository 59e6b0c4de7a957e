"""What an index takes: a cluster that changes and does not grow takes no more than one that was listed just now."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from pydnsk8s.kube import shapes
from pydnsk8s.kube.decode import read
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.named import Named
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Pod, Service

_SERVICES = 100
_PODS = 20  # of each service


def footprint(index: Index) -> Counter[str]:
    """The octets of all that an index holds, by types; how it is shelved left out, as that is a matter of hashes."""
    octets: Counter[str] = Counter()
    seen: set[int] = set()
    left: list[object] = [index._held, *index._under._shelves, *index._below._shelves, *index.names._shelves]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        left += parts(each)
        if not isinstance(each, dict):
            octets[type(each).__name__] += sys.getsizeof(each)
    return octets


def parts(each: object) -> Iterable[object]:
    match each:
        case dict():
            return (*each.keys(), *each.values())
        case tuple():
            return each
        case Struct():
            return [getattr(each, name) for name in each.__struct_fields__]
        case Named():
            return each.objects, each.service
    return ()


def document(kind: Kind, number: int, **fields: object) -> bytes:
    labels = {"kubernetes.io/service-name": f"shop-{number:03}"}
    metadata = {"name": f"shop-{number:03}", "namespace": "retail-of-the-north", "labels": labels}
    return json.dumps({"metadata": metadata, **fields}).encode()


def slices(round: int) -> Iterator[bytes]:
    """A slice of each service, with other pods at the end in each round."""
    for number in range(_SERVICES):
        rounds = [0] * (_PODS - 2) + [round] * 2
        pods = [{"addresses": [f"10.{number}.{pod}.{100 + each}"]} for pod, each in enumerate(rounds)]
        yield document(EndpointSlice, number, endpoints=pods, ports=[{"name": "http", "port": 8080}])


def services(port: int) -> Iterator[bytes]:
    for number in range(_SERVICES):
        spec = {"clusterIP": f"10.96.0.{number}", "ports": [{"name": "http", "port": port}]}
        yield document(Service, number, spec=spec)


def pods(team: str) -> Iterator[bytes]:
    for number in range(_SERVICES):
        metadata = {"name": f"shop-{number:03}", "namespace": "retail-of-the-north", "labels": {"team": team}}
        yield json.dumps({"metadata": metadata, "status": {"podIP": f"10.{number}.0.100"}}).encode()


def take(index: Index, kind: Kind, documents: Iterable[bytes]) -> None:
    # In a large cluster, what an object shares with others has long been pushed out of the shapes' memory.
    for memory in (shapes._label, shapes._shared, shapes._shared_ports, shapes._shared_labels):
        memory.cache_clear()
    for each in documents:
        obj = read(kind, each)
        assert obj is not None
        index.put(obj)


def listed() -> Index:
    index = Index((Namespace, Service, EndpointSlice, Pod))
    take(index, Service, services(80))
    take(index, EndpointSlice, slices(0))
    take(index, Pod, pods("blue"))
    return index


def test_a_slice_that_has_changed_takes_no_more_than_one_as_it_was_listed() -> None:
    index = listed()
    before = footprint(index)
    for round in range(1, 4):
        take(index, EndpointSlice, slices(round))
    assert footprint(index) == before


def test_nor_does_a_service_or_a_pod() -> None:
    index = listed()
    before = footprint(index)
    for port in (81, 82):
        take(index, Service, services(port))
    for team in ("red!", "gray"):
        take(index, Pod, pods(team))
    assert footprint(index) == before


def test_nor_do_pods_that_another_service_had_for_a_while() -> None:
    index = listed()
    before = footprint(index)
    for number in range(_SERVICES):
        others = [{"addresses": [f"10.{number}.{pod}.100"]} for pod in range(_PODS // 2)]
        take(index, EndpointSlice, [document(EndpointSlice, number + _SERVICES, endpoints=others)])
    take(index, EndpointSlice, slices(1))
    take(index, EndpointSlice, slices(0))
    for number in range(_SERVICES):
        index.remove(EndpointSlice, "retail-of-the-north", f"shop-{number + _SERVICES:03}")
    assert footprint(index) == before
