"""Every failure that an API server has: what is known goes on being known, and what is wrong is said once."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from pydnsk8s import metrics
from pydnsk8s.kube import decode, stream, watch
from pydnsk8s.kube.access import Access
from pydnsk8s.kube.api import Api
from pydnsk8s.kube.decode import Document
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Kind, Object, Service, ServiceImport

from .api_server import ApiServer
from .following import add_service, followed, services
from .until import until

SERVICES = (Service,)


def number(name: str, **labels: str) -> float:
    """A number of the process, as a scrape shows it."""
    wanted = name + "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}"
    for line in metrics.exposition()[1].decode().splitlines():
        if line.startswith(wanted):
            return float(line.split()[-1])
    return 0.0


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pydnsk8s.kube")


async def test_a_lost_server_is_told_once_and_its_return_once(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add_service(server, "web")
    async with followed(server) as (index, api):
        await until(lambda: index.synced)
        host = server.url.removeprefix("http://")
        assert number("coredns_kubernetes_data_age_seconds", host=host) == 0
        server.close()
        await until(lambda: len(api.trouble.split(";")) == 3)
        await asyncio.sleep(0.2)
        assert (services(index), index.synced) == (["web"], True)
        assert number("coredns_kubernetes_data_age_seconds", host=host) > 0.1
        server.open()
        add_service(server, "db")
        await until(lambda: services(index) == ["db", "web"])
        await until(lambda: not api.trouble)
        assert number("coredns_kubernetes_data_age_seconds", host=host) == 0
    lost, back = (record for record in caplog.records if record.name == "pydnsk8s.kube")
    assert (lost.levelname, back.levelname) == ("WARNING", "INFO")
    assert f"at {server.url}: " in lost.getMessage()
    assert back.getMessage().startswith(f"following the cluster at {server.url} again, after ")


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(server: ApiServer) -> None:
    server.close()
    async with followed(server) as (index, api):
        await until(lambda: "Connection refused" in api.trouble)
        assert not index.synced
        server.open()
        await until(lambda: index.synced and not api.trouble)


@pytest.mark.parametrize("how", ["broken", "reset", "orderly"])
@pytest.mark.parametrize("streams", [False, True])
async def test_however_a_watch_ends_it_goes_on_without_a_new_list(server: ApiServer, how: str, streams: bool) -> None:
    server.streams = streams
    add_service(server, "a")
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: index.synced)
        for name in ("b", "c"):
            server.interrupt(how)
            add_service(server, name)
            await until(lambda name=name: services(index)[-1] == name)  # type: ignore[misc]
        assert api.trouble == ""
    lists = [request for request in server.requests if request.streams or not request.watches]
    assert len(lists) == (1 if streams else 2)  # asking whether it streams counts, too


async def test_a_connection_that_stands_but_says_nothing_is_given_up(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_WATCH_SILENCE", 0.1)
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: len(server.asked("Service", watches=True)) == 1)
        server.hush()
        add_service(server, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""
        server.interrupt()


async def test_a_server_that_accepts_but_never_answers_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_STREAM_SILENCE", 0.1)
    monkeypatch.setattr(watch, "_LIST_SILENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api(Access.endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}"), SERVICES)
        await api.start(Index(SERVICES))
        await until(lambda: "timed out" in api.trouble)
        await api.stop()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff{{{\n",
        b'{"type": "ADDED"}\n',
        b'{"type": 5, "object": {}}\n',
        b"[]\n",
        b'{"type": "ADDED", "object": {"metadata": {"name": "\xff"}}}\n',
        b'{"type": "\xff", "object": {}}\n',
    ],
)
async def test_garbage_in_a_watch_leads_to_a_new_list(
    server: ApiServer, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: len(server.asked("Service", watches=True)) == 1)
        server.spoilt = [garbage]
        add_service(server, "web")  # the event that is lost
        await until(lambda: services(index) == ["web"])
        await until(lambda: not api.trouble)
        assert len(server.asked("Service", watches=False)) == 2
    assert "cannot read what the server sends" in caplog.text


async def test_a_fault_of_our_own_is_told_and_ends_no_watch(
    server: ApiServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [KeyError("nobody expected this")]
    read = decode.read

    def faulty(kind: Kind, document: Document) -> Object | None:
        if faults:
            raise faults.pop()
        return read(kind, document)

    monkeypatch.setattr(watch, "read", faulty)
    add_service(server, "web")
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: services(index) == ["web"] and not api.trouble)
    assert "cannot follow Service" in caplog.text
    assert "nobody expected this" in caplog.text


async def test_events_that_came_before_the_garbage_count(server: ApiServer) -> None:
    async with followed(server, SERVICES) as (index, _):
        await until(lambda: len(server.asked("Service", watches=True)) == 1)
        server.refusals = [503] * 1000
        server.spoilt = [
            b"garbage\n",
            b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"x"},"spec":{}}}\n',
        ]
        add_service(server, "web")
        add_service(server, "db")
        await until(lambda: services(index) == ["a"])


async def test_what_is_no_api_at_all_is_trouble_and_no_more(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApiServer, "page", lambda *_, **__: ["a page of a proxy"])
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: "cannot read what the server sends" in api.trouble)
        assert not index.synced


async def test_slow_bytes_arrive_all_the_same(server: ApiServer) -> None:
    server.piece, server.pause = 40, 0.001
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: index.synced)
        add_service(server, "web")
        await until(lambda: services(index) == ["web"])
        assert api.trouble == ""


async def test_a_list_that_expires_between_two_pages_begins_again(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 1)
    add_service(server, "a")
    add_service(server, "b")
    expire = [True]
    page = ApiServer.page

    def expiring(*args: Any, **more: Any) -> Any:
        found = page(*args, **more)
        if expire:
            expire.clear()
            server.forget()
        return found

    monkeypatch.setattr(ApiServer, "page", expiring)
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: index.synced)
        assert (services(index), api.trouble) == (["a", "b"], "")
    assert [request.query.get("continue") is None for request in server.asked("Service", watches=False)] == [
        True,
        False,
        True,
        False,
    ]


async def test_a_missing_right_is_named_by_verb_resource_and_namespace(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.denied = {("list", "endpointslices", ""), ("watch", "services", "")}
    async with followed(server) as (index, api):
        await until(lambda: len(api.trouble.split(";")) == 2)
        assert not index.synced
        assert "403 missing RBAC: list endpointslices.discovery.k8s.io in all namespaces: " in api.trouble
        assert "403 missing RBAC: watch services in all namespaces: services is forbidden: User" in api.trouble
        server.denied.clear()
        await until(lambda: index.synced and not api.trouble)
    assert caplog.text.count("missing RBAC") == 2


async def test_rights_that_are_revoked_leave_what_was_known(server: ApiServer) -> None:
    add_service(server, "web")
    async with followed(server, SERVICES, namespaces=["shop"]) as (index, api):
        await until(lambda: len(server.asked_in("shop")) > 1)
        server.denied = {("watch", "services", "shop"), ("list", "services", "shop")}
        server.interrupt()
        await until(lambda: "missing RBAC: watch services in namespace shop" in api.trouble)
        assert services(index) == ["web"]
        add_service(server, "db")
        server.denied.clear()
        await until(lambda: services(index) == ["db", "web"])
        assert len([request for request in server.asked_in("shop") if not request.watches]) == 1


async def test_a_kind_that_is_not_defined_counts_as_empty_until_it_is(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.unknown = {"ServiceImport"}
    async with followed(server, (Service, ServiceImport)) as (index, api):
        await until(lambda: index.synced)
        await until(lambda: "404 the server does not know serviceimports.multicluster.x-k8s.io" in api.trouble)
        assert index.count(ServiceImport) == 0
        server.apply("ServiceImport", "web", "shop", spec={"type": "ClusterSetIP", "ips": ["192.0.2.7"], "ports": []})
        server.unknown.clear()
        await until(lambda: index.count(ServiceImport) == 1 and not api.trouble)
        server.unknown = {"ServiceImport"}
        server.interrupt()
        await until(lambda: index.count(ServiceImport) == 0)
        assert index.synced
        await until(lambda: caplog.text.count("is its definition installed?") == 2)


async def test_an_object_that_cannot_be_read_is_counted_and_named(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = number("coredns_kubernetes_objects_skipped_total", kind="Service")
    add_service(server, "bad", "nonsense")
    add_service(server, "good")
    async with followed(server, SERVICES) as (index, api):
        await until(lambda: index.synced)
        assert (services(index), api.skipped) == (["good"], 1)
    assert number("coredns_kubernetes_objects_skipped_total", kind="Service") == before + 1
    assert "ignoring Service 'shop/bad': 'nonsense' is not an IP address" in caplog.text


async def test_a_clock_that_jumps_changes_nothing_and_the_serial_never_falls(server: ApiServer) -> None:
    times = iter([2_000_000_000.0, 1_000_000_000.0])
    index = Index(SERVICES, clock=lambda: next(times))
    api = Api(Access.endpoint(server.url), SERVICES)
    await api.start(index)
    add_service(server, "a")
    await until(lambda: services(index) == ["a"])
    add_service(server, "b")
    await until(lambda: services(index) == ["a", "b"])
    assert index.changed_at == 2_000_000_000
    await api.stop()


async def test_a_large_list_from_a_server_that_heeds_no_limit_is_read(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_LARGE", 1000)
    server.heeds_limit = False
    for number_ in range(700):
        add_service(server, f"s{number_}")
    async with followed(server, SERVICES) as (index, _):
        await until(lambda: index.synced)
        assert index.count(Service) == 700
    assert len(server.asked("Service", watches=False)) == 1


async def test_requests_are_counted_under_coredns_names(server: ApiServer) -> None:
    host = server.url.removeprefix("http://")
    async with followed(server, SERVICES):
        await until(lambda: len(server.asked("Service", watches=True)) == 1)
    assert number("coredns_kubernetes_rest_client_requests_total", code="200", method="GET", host=host) == 2
    assert number("coredns_kubernetes_rest_client_requests_total", code="422", method="GET", host=host) == 1
    assert number("coredns_kubernetes_rest_client_request_duration_seconds_count", verb="GET", host=host) == 3
    assert number("coredns_kubernetes_rest_client_rate_limiter_duration_seconds_sum", verb="GET", host=host) == 0
