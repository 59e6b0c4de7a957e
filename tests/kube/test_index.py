"""The index: the same cluster gives the same lookups, and a stamp dies with what it vouched for."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.kube.index import SYNCED, ZONE, Index, Key
from pydnsk8s.kube.objects import (
    KINDS,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Service,
    ServiceImport,
)

from .drawn import Drawn

NAMESPACES = ("blue", "red")
NAMES = ("db", "web")
ADDRESSES = (*(bytes((192, 0, 2, last)) for last in range(4)), bytes.fromhex("20010db8" + "00" * 11 + "01"))
KEYS: tuple[Key, ...] = (
    *(("service", namespace, name) for namespace in NAMESPACES for name in NAMES),
    *(("namespace", namespace) for namespace in NAMESPACES),
    *(("ip", address) for address in ADDRESSES),
    ZONE,
)

drawn = Drawn(NAMESPACES, NAMES, ADDRESSES)
objects = drawn.objects
Step = tuple[Kind, list[Object]] | tuple[str, Object]
"""A full list of one kind, or an object to put or to remove."""
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.sampled_from(["put", "remove"]), objects),
    st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(drawn.of_kind[kind], max_size=4))),
)


def take(index: Index, step: Step) -> None:
    what, obj = step
    if isinstance(obj, list):
        assert not isinstance(what, str)
        index.replace(what, obj)
    elif what == "put":
        index.put(obj)
    else:
        index.remove(type(obj), obj.namespace, obj.name)


def seen(index: Index, key: Key) -> object:
    """Everything that can be looked up under the key."""
    match key:
        case "service", str(namespace), str(name):
            return (
                index.service(namespace, name),
                index.slices(namespace, name),
                index.service_import(namespace, name),
                index.imported_slices(namespace, name),
            )
        case "namespace", str(namespace):
            return index.has_namespace(namespace)
        case "ip", bytes(address):
            return (
                index.services_at(address),
                index.services_exposed_at(address),
                index.endpoints_at(address),
                index.pods_at(address),
            )
    return [index.services(), index.service_imports(), *(seen(index, other) for other in KEYS if other != ZONE)]


def called(obj: Object) -> tuple[str, str]:
    return obj.namespace, obj.name


def everything(index: Index) -> list[object]:
    return [*(seen(index, key) for key in KEYS), *(index.count(kind) for kind in KINDS)]


def replay(taken: Iterable[Step]) -> dict[tuple[Kind, str, str], Object]:
    """What a cluster holds after the steps, worked out the plain way."""
    held: dict[tuple[Kind, str, str], Object] = {}
    for what, obj in taken:
        if isinstance(obj, list):
            held = {key: other for key, other in held.items() if key[0] is not what}
            held |= {(type(each), each.namespace, each.name): each for each in obj}
        elif what == "put":
            held[type(obj), obj.namespace, obj.name] = obj
        else:
            held.pop((type(obj), obj.namespace, obj.name), None)
    return held


@given(st.lists(steps, max_size=15))
def test_any_way_to_a_cluster_leads_to_the_same_lookups(taken: list[Step]) -> None:
    index, fresh = Index(), Index()
    for step in taken:
        take(index, step)
    held = replay(taken)
    for kind in KINDS:
        fresh.replace(kind, [obj for obj in held.values() if type(obj) is kind])
    assert everything(index) == everything(fresh)


@given(st.lists(steps, max_size=15))
def test_every_object_is_found_by_its_names_and_addresses_and_nothing_else_is(taken: list[Step]) -> None:
    index = Index()
    for step in taken:
        take(index, step)
    held = sorted(replay(taken).values(), key=lambda obj: (obj.namespace, obj.name))
    services = [obj for obj in held if isinstance(obj, Service)]
    slices = [obj for obj in held if isinstance(obj, EndpointSlice)]
    imports = [obj for obj in held if isinstance(obj, ServiceImport)]
    assert (index.services(), index.service_imports()) == (services, imports)
    for namespace, name in itertools.product(NAMESPACES, NAMES):
        here = [obj for obj in slices if obj.namespace == namespace]
        assert index.service(namespace, name) == next(
            (obj for obj in services if called(obj) == (namespace, name)), None
        )
        assert index.slices(namespace, name) == [obj for obj in here if obj.service == name]
        assert index.imported_slices(namespace, name) == [obj for obj in here if obj.imported == name]
        assert index.has_namespace(namespace) is (Namespace(namespace) in held)
    for address in ADDRESSES:
        assert index.services_at(address) == [called(obj) for obj in services if address in obj.cluster_ips]
        assert index.services_exposed_at(address) == [called(obj) for obj in services if address in obj.external_ips]
        assert index.pods_at(address) == [obj for obj in held if isinstance(obj, Pod) and address in obj.ips]
        assert index.endpoints_at(address) == [
            (obj.namespace, obj.service, endpoint)
            for obj in slices
            for endpoint in obj.endpoints
            if obj.service and endpoint.address == address
        ]


@given(st.lists(steps, max_size=25))
def test_a_change_retires_exactly_the_stamps_of_what_it_changes(taken: list[Step]) -> None:
    index = Index(clock=itertools.count(1_000_000).__next__)
    for step in taken:
        before = {key: (seen(index, key), index.stamp(key)) for key in KEYS}
        changed_at = index.changed_at
        take(index, step)
        for key, (shown, stamp) in before.items():
            if seen(index, key) != shown:
                assert not stamp.alive, key
            elif not isinstance(step[1], list):  # a full list may pass through other states on its way
                assert stamp.alive, key
            assert index.stamp(key).alive
        assert (index.changed_at > changed_at) is not before[ZONE][1].alive


def test_the_same_object_again_changes_nothing() -> None:
    index = Index(clock=itertools.count(1).__next__)
    service = Service("blue", "web", "ClusterIP", False, (ADDRESSES[0],), (), "", (), ())
    index.put(service)
    stamps, changed_at = [index.stamp(key) for key in KEYS], index.changed_at
    index.put(service)
    index.replace(Service, [service])
    index.remove(Pod, "blue", "web")
    assert all(stamp.alive for stamp in stamps)
    assert index.changed_at == changed_at


def test_one_endpoint_leaving_retires_its_address_and_its_service_and_no_other_address() -> None:
    index = Index()
    endpoints = tuple(Endpoint(address, "", "", "") for address in ADDRESSES[:3])
    index.put(EndpointSlice("blue", "web-1", "web", "", "", endpoints, ()))
    stamps = {key: index.stamp(key) for key in KEYS}
    index.put(EndpointSlice("blue", "web-1", "web", "", "", endpoints[1:], ()))
    assert {key for key, stamp in stamps.items() if not stamp.alive} == {
        ("service", "blue", "web"),
        ("ip", ADDRESSES[0]),
        ZONE,
    }


def test_a_changed_port_leaves_the_service_at_its_address() -> None:
    index = Index()
    index.put(Service("blue", "web", "ClusterIP", False, (ADDRESSES[0],), (), "", (), ()))
    by_address, by_name = index.stamp(("ip", ADDRESSES[0])), index.stamp(("service", "blue", "web"))
    index.put(Service("blue", "web", "ClusterIP", False, (ADDRESSES[0],), (Port("http", 80, "tcp"),), "", (), ()))
    assert (by_address.alive, by_name.alive) == (True, False)


def test_an_address_handed_from_one_service_to_another_is_found_at_the_last() -> None:
    index = Index()
    index.put(Service("blue", "db", "ClusterIP", False, (ADDRESSES[0],), (), "", (), ()))
    index.put(Service("blue", "web", "ClusterIP", False, (ADDRESSES[0],), (), "", (), ()))
    assert index.services_at(ADDRESSES[0]) == [("blue", "db"), ("blue", "web")]
    index.remove(Service, "blue", "db")
    assert index.services_at(ADDRESSES[0]) == [("blue", "web")]


def test_the_index_is_complete_once_every_kind_was_listed() -> None:
    index = Index([Namespace, Service])
    stamp = index.stamp(SYNCED)
    index.put(Namespace("blue"))
    index.replace(EndpointSlice, [])
    index.replace(Namespace, [])
    assert (index.synced, stamp.alive) == (False, True)
    index.replace(Service, [])
    assert (index.synced, stamp.alive) == (True, False)
    later = index.stamp(SYNCED)
    index.replace(Service, [])
    assert later.alive


def test_the_time_of_the_last_change_never_goes_back() -> None:
    times = iter([1000.9, 900.0, 1001.0])
    index = Index(clock=lambda: next(times))
    assert index.changed_at == 0
    for name in NAMES:
        index.put(Namespace(name))
        assert index.changed_at == 1000
    index.remove(Namespace, "", "db")
    assert index.changed_at == 1001


def test_a_stamp_is_forgotten_with_the_last_reply_kept_under_it() -> None:
    index = Index()
    kept = index.stamp(("service", "blue", "absent"))
    assert index.stamp(("service", "blue", "absent")) is kept
    gone = weakref.ref(kept)
    del kept
    assert gone() is None
