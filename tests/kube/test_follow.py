"""What is followed, and that any way of hearing of the changes ends in the same cluster."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s.kube.index import ZONE, Index
from pydnsk8s.kube.objects import KINDS, EndpointSlice, Namespace, Pod, Service, ServiceImport
from pydnsk8s.metrics import Histogram

from .api_server import ApiServer
from .following import DEFAULT, add_service, followed, services
from .until import until

SHOP_WEB = bytes((198, 51, 100, 1))


def add_slice(server: ApiServer, service: str, *addresses: str, changed: datetime | None = None) -> None:
    notes = {"endpoints.kubernetes.io/last-change-trigger-time": changed.isoformat()} if changed else {}
    server.apply(
        "EndpointSlice",
        f"{service}-1",
        "shop",
        metadata={"labels": {"kubernetes.io/service-name": service}, "annotations": notes},
        addressType="IPv4",
        endpoints=[{"addresses": [address]} for address in addresses],
        ports=[],
    )


async def test_only_the_namespaces_asked_for_are_asked_for(server: ApiServer) -> None:
    for namespace in ("shop", "other"):
        server.apply("Namespace", namespace)
        add_service(server, f"web-{namespace}", namespace=namespace)
        server.apply("Pod", "web", namespace, status={"podIP": "198.51.100.1"})
    async with followed(server, (*DEFAULT, Pod), namespaces=["shop", "absent"]) as (index, _):
        await until(lambda: index.synced)
        assert (services(index), index.count(Pod)) == (["web-shop"], 1)
        assert (index.has_namespace("shop"), index.has_namespace("other")) == (True, False)
        add_service(server, "db-other", "192.0.2.2", "other")
        add_service(server, "db", "192.0.2.2")
        await until(lambda: services(index) == ["db", "web-shop"])
        server.delete("Namespace", "shop")
        await until(lambda: not index.has_namespace("shop"))
    for request in server.requests:
        field = request.query.get("fieldSelector", "")
        assert (
            "/namespaces/shop/" in request.path
            or "/namespaces/absent/" in request.path
            or field
            in (
                "metadata.name=shop",
                "metadata.name=absent",
            )
        )


async def test_a_new_list_of_one_namespace_leaves_the_others_alone(server: ApiServer) -> None:
    add_service(server, "a", namespace="one")
    add_service(server, "b", namespace="two")
    async with followed(server, (Service,), namespaces=["one", "two"]) as (index, _):
        await until(lambda: len(server.asked_in("two")) == 2 and len(server.asked_in("one")) == 2)
        server.interrupt()
        server.delete("Service", "a", "one")
        server.forget()
        await until(lambda: services(index) == ["b"])


def test_a_cluster_is_known_when_every_namespace_is() -> None:
    index = Index((Service, Pod), namespaces=["one", "two"])
    for kind, namespace in ((Service, "one"), (Pod, "two"), (Pod, "one")):
        index.complete(kind, namespace)
        assert not index.synced
    index.complete(Service, "two")
    assert index.synced


async def test_a_list_can_come_as_a_watch_does(server: ApiServer) -> None:
    server.streams = True
    for number in range(50):
        add_service(server, f"s{number}")
    async with followed(server) as (index, api):
        await until(lambda: index.synced)
        assert (index.count(Service), api.trouble) == (50, "")
        same, gone = index.stamp(("service", "shop", "s1")), index.stamp(("service", "shop", "s2"))
        server.interrupt()
        server.delete("Service", "s2", "shop")
        server.forget()
        await until(lambda: index.count(Service) == 49)
        assert (same.alive, gone.alive) == (True, False)
    assert not any(server.asked(kind.__name__, watches=False) for kind in DEFAULT)


async def test_a_list_that_does_not_come_to_its_end_as_a_watch_is_asked_for_in_pages(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ApiServer.lines

    def endless(self: ApiServer, found: Any, query: dict[str, str]) -> Any:
        for line in lines(self, found, query):
            if b"initial-events-end" not in line:
                yield line
            elif "sendInitialEvents" in query:
                return

    server.streams = True
    monkeypatch.setattr(ApiServer, "lines", endless)
    add_service(server, "web")
    async with followed(server, (Service,)) as (index, _):
        await until(lambda: index.synced)
        assert services(index) == ["web"]
    assert len(server.asked("Service", watches=False)) == 1


@pytest.mark.parametrize(("address", "kind"), [("192.0.2.1", "cluster_ip"), ("None", "headless_with_selector")])
async def test_the_time_from_a_change_of_pods_to_its_answer_is_measured(
    server: ApiServer, address: str, kind: str
) -> None:
    from pydnsk8s.kube.measures import PROGRAMMING

    histogram = PROGRAMMING.labels(kind)
    assert isinstance(histogram, Histogram)
    add_service(server, "web", address)
    add_slice(server, "web", "198.51.100.1", changed=datetime.now(UTC) - timedelta(hours=1))
    async with followed(server) as (index, _):
        await until(lambda: index.synced and len(server.asked("EndpointSlice", watches=True)) == 1)
        before, total = sum(histogram.counts), histogram.sum
        changed = datetime.now(UTC) - timedelta(seconds=5)
        add_slice(server, "web", "198.51.100.2", changed=changed)
        add_slice(server, "web", "198.51.100.2", changed=changed + timedelta(seconds=1))  # no news for the answers
        add_slice(server, "web", "198.51.100.3")
        add_slice(server, "web", "198.51.100.4", changed=datetime.now(UTC) + timedelta(hours=1))  # another clock
        await until(lambda: index.endpoints_at(bytes((198, 51, 100, 4))) != [])
        assert sum(histogram.counts) == before + 2
        assert 5 <= histogram.sum - total < 60


NAMES = ("db", "web")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "None")
action = st.one_of(
    st.tuples(st.just("service"), st.sampled_from(NAMES), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("slice"), st.sampled_from(NAMES), st.sampled_from(("198.51.100.1", "198.51.100.2"))),
    st.tuples(st.just("namespace"), st.sampled_from(("shop", "other")), st.just("")),
    st.tuples(st.just("gone"), st.sampled_from((*NAMES, "shop")), st.just("")),
    st.tuples(st.just("interrupt"), st.sampled_from(("broken", "reset", "orderly")), st.just("")),
    st.tuples(st.sampled_from(("forget", "bookmark", "garbage", "wait", "refuse")), st.just(""), st.just("")),
)


async def act(server: ApiServer, what: str, name: str, value: str) -> None:
    match what:
        case "service":
            add_service(server, name, value)
        case "slice":
            add_slice(server, name, value)
        case "namespace":
            server.apply("Namespace", name)
        case "gone":
            for kind, each, namespace in (
                ("Service", name, "shop"),
                ("EndpointSlice", f"{name}-1", "shop"),
                ("Namespace", name, ""),
            ):
                if server.holds(kind, each, namespace):
                    server.delete(kind, each, namespace)
        case "interrupt":
            server.interrupt(name)
        case "forget":
            server.forget()
        case "bookmark":
            server.bookmark()
        case "garbage":
            server.spoilt = [b"}{\n"]
        case "refuse":
            server.refusals = [503, 403]
        case "wait":
            await asyncio.sleep(0.01)


def seen(index: Index) -> tuple[object, ...]:
    return (
        index.services(),
        [index.slices("shop", name) for name in NAMES],
        [index.has_namespace(name) for name in ("shop", "other")],
        [index.endpoints_at(bytes((198, 51, 100, last))) for last in (1, 2)],
        [index.services_at(bytes((192, 0, 2, last))) for last in (1, 2)],
        [index.count(kind) for kind in KINDS],
    )


@given(st.lists(action, max_size=12), st.booleans())
@settings(max_examples=25)
def test_whatever_happens_on_the_way_the_end_is_that_of_a_fresh_start(
    actions: list[tuple[str, str, str]], streams: bool
) -> None:
    async def play() -> None:
        server = ApiServer()
        server.streams = streams
        try:
            async with followed(server) as (index, _):
                for what, name, value in actions:
                    before, shown = index.stamp(ZONE), seen(index)
                    await act(server, what, name, value)
                    assert not before.alive or seen(index) == shown
                server.spoilt.clear()
                server.refusals.clear()
                async with followed(server) as (fresh, _):
                    await until(lambda: fresh.synced and seen(index) == seen(fresh))
        finally:
            server.close()

    asyncio.run(play())


async def test_every_kind_is_followed(server: ApiServer) -> None:
    async with followed(server, KINDS) as (index, _):
        await until(lambda: index.synced)
        server.apply("Namespace", "shop")
        add_service(server, "web")
        add_slice(server, "web", "198.51.100.1")
        server.apply("Pod", "web", "shop", status={"podIP": "198.51.100.1"})
        server.apply("ServiceImport", "web", "shop", spec={"ips": ["192.0.2.7"]})
        await until(lambda: all(index.count(kind) for kind in KINDS))
        assert index.endpoints_at(SHOP_WEB)
        for kind in KINDS:
            server.delete(kind.__name__, next(iter(index._held[kind]))[1], next(iter(index._held[kind]))[0])
        await until(lambda: not any(index.count(kind) for kind in (Namespace, Service, EndpointSlice, Pod)))
        await until(lambda: not index.count(ServiceImport))
