"""The API source: lists, watches, and comes back after every failure."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pydnsk8s.kube.objects import KINDS, Namespace, Pod, Service, ServiceImport

from .api_server import ApiServer
from .following import add_service, followed, services
from .until import until


async def test_a_list_of_several_pages_is_complete(server: ApiServer) -> None:
    for number in range(1201):
        server.apply("Namespace", f"ns-{number}")
    async with followed(server) as (index, api):
        await until(lambda: index.synced)
        assert index.count(Namespace) == 1201
        assert index.has_namespace("ns-1200")
        assert len(server.asked("Namespace", watches=False)) == 3
        assert (api.trouble, api.skipped) == ("", 0)


@pytest.mark.parametrize("piece", [1 << 20, 7])
async def test_changes_arrive_however_the_stream_is_cut(server: ApiServer, piece: int) -> None:
    server.piece = piece
    add_service(server, "db")
    async with followed(server) as (index, _):
        await until(lambda: index.synced)
        add_service(server, "web")
        await until(lambda: services(index) == ["db", "web"])
        add_service(server, "web", "192.0.2.7")
        await until(lambda: index.services_at(bytes((192, 0, 2, 7))) == [("shop", "web")])
        server.delete("Service", "db", "shop")
        await until(lambda: services(index) == ["web"])


async def test_endpoints_pods_and_imports_are_followed_when_asked_for(server: ApiServer) -> None:
    labels = {"kubernetes.io/service-name": "web"}
    endpoints = [{"addresses": ["198.51.100.1"]}]
    server.apply("EndpointSlice", "web-1", "shop", metadata={"labels": labels}, endpoints=endpoints)
    server.apply("Pod", "web-1-x", "shop", status={"podIP": "198.51.100.1"})
    server.apply("ServiceImport", "web", "shop", spec={"type": "ClusterSetIP", "ips": ["192.0.2.77"], "ports": []})
    async with followed(server, KINDS) as (index, _):
        await until(lambda: index.synced)
        assert [service for _, service, _ in index.endpoints_at(bytes((198, 51, 100, 1)))] == ["web"]
        assert [pod.name for pod in index.pods_at(bytes((198, 51, 100, 1)))] == ["web-1-x"]
        assert index.service_import("shop", "web") is not None  # served as v1beta1 only
        assert index.count(ServiceImport) == 1


async def test_a_broken_watch_goes_on_where_it_was(server: ApiServer) -> None:
    async with followed(server) as (index, _):
        await until(lambda: index.synced)
        add_service(server, "web")
        await until(lambda: services(index) == ["web"])
        server.interrupt()
        add_service(server, "db")
        await until(lambda: services(index) == ["db", "web"])
        assert len(server.asked("Service", watches=False)) == 1


async def test_a_bookmark_moves_the_place_to_go_on_from(server: ApiServer) -> None:
    async with followed(server):
        await until(lambda: len(server.asked("Service", watches=True)) == 1)
        server.bookmark()
        revision = str(server.revision)
        await asyncio.sleep(0.05)
        server.interrupt()
        await until(lambda: len(server.asked("Service", watches=True)) == 2)
        assert server.asked("Service", watches=True)[1].query["resourceVersion"] == revision


async def test_a_revision_too_old_leads_to_a_new_list_that_touches_only_what_differs(server: ApiServer) -> None:
    add_service(server, "db")
    add_service(server, "web")
    async with followed(server) as (index, _):
        await until(lambda: index.synced)
        same, gone = index.stamp(("service", "shop", "db")), index.stamp(("service", "shop", "web"))
        server.interrupt()
        server.delete("Service", "web", "shop")
        add_service(server, "new")
        server.forget()
        await until(lambda: services(index) == ["db", "new"])
        assert (same.alive, gone.alive) == (True, False)


async def test_a_server_that_refuses_is_asked_again_and_the_trouble_told(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refusals = [503]
    async with followed(server, (Service,)) as (index, api):
        await until(lambda: api.trouble != "")
        assert not index.synced
        assert api.trouble == "Service: 503 refused with 503"
        await until(lambda: index.synced and not api.trouble)
        assert [line for line in caplog.messages if "503" in line]


async def test_a_server_that_is_gone_leaves_what_was_known(server: ApiServer) -> None:
    add_service(server, "web")
    async with followed(server) as (index, api):
        await until(lambda: index.synced)
        server.close()
        await until(lambda: api.trouble != "")
        assert services(index) == ["web"]


async def test_an_object_that_cannot_be_read_is_passed_over_and_keeps_what_it_was(server: ApiServer) -> None:
    add_service(server, "web", "192.0.2.1")
    async with followed(server) as (index, api):
        await until(lambda: index.synced)
        add_service(server, "web", "nonsense")
        add_service(server, "db")
        await until(lambda: services(index) == ["db", "web"])
        assert index.services_at(bytes((192, 0, 2, 1))) == [("shop", "db"), ("shop", "web")]
        assert api.skipped == 1
        server.interrupt()
        add_service(server, "new")
        server.forget()
        await until(lambda: services(index) == ["db", "new", "web"])


async def test_selectors_go_to_the_server(server: ApiServer) -> None:
    kinds = (Namespace, Service, Pod)
    async with followed(server, kinds, labels="app in (web, db)", namespace_labels="team=a") as (index, _):
        await until(lambda: index.synced)
        await until(lambda: all(server.asked(kind.__name__, watches=True) for kind in kinds))
    for watches in (False, True):
        (namespaces,), (services_,), (pods,) = (server.asked(kind.__name__, watches=watches) for kind in kinds)
        assert namespaces.query["labelSelector"] == "team=a"
        assert services_.query["labelSelector"] == "app in (web, db)"
        assert "fieldSelector" not in services_.query
        assert pods.query["labelSelector"] == "app in (web, db)"
        assert "status.phase!=Succeeded" in pods.query["fieldSelector"]


async def test_stopping_ends_every_thread_and_every_change(server: ApiServer) -> None:
    async with followed(server) as (index, _):
        await until(lambda: index.synced)
        await until(lambda: len([request for request in server.requests if request.watches]) == 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kube-")]
    add_service(server, "web")
    await asyncio.sleep(0.05)
    assert services(index) == []
