"""kubernetes: a cluster that changes, is not known yet, or is out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pydnsk8s import corefile, testing
from pydnsk8s.kube.objects import Namespace, Service
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.kubernetes import Kubernetes
from pydnsk8s.server import Server
from tests.kube.api_server import ApiServer
from tests.kube.until import until
from tests.plugins.blocks import plugin

from .clusters import ask, cluster, fill, service, serving

WEB = "web.shop.svc.cluster.local"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    server.apply("Namespace", "shop")
    yield server
    server.close()


def add_service(api: ApiServer, name: str, address: str = "10.96.0.1") -> None:
    api.apply("Service", name, "shop", spec={"clusterIP": address, "ports": [{"name": "http", "port": 80}]})


def text(url: str, options: str = "", more: str = "") -> str:
    return f".:53 {{\nkubernetes cluster.local in-addr.arpa {{\nendpoint {url}\n{options}\n}}\n{more}\n}}\n"


@asynccontextmanager
async def followed(api: ApiServer, options: str = "", more: str = "") -> AsyncIterator[tuple[testing.Dns, Kubernetes]]:
    async with testing.serving(text(api.url, options, more)) as dns:
        yield dns, next(plugin for plugin in dns.plugins if isinstance(plugin, Kubernetes))


async def test_a_service_that_appears_ends_the_denial_that_was_kept(api: ApiServer) -> None:
    async with followed(api) as (dns, found):
        for replayed in (False, True):
            answer = await dns.ask(WEB)
            assert (answer.rcode, answer.replayed) == ("NXDOMAIN", replayed)
        add_service(api, "web")
        await until(lambda: found.index.service("shop", "web") is not None)
        for replayed in (False, True):
            answer = await dns.ask(WEB)
            assert (answer.answer, answer.replayed) == ([f"{WEB}. 5 A 10.96.0.1"], replayed)


async def test_a_change_elsewhere_ends_nothing_and_every_other_change_does(api: ApiServer) -> None:
    add_service(api, "web")
    async with followed(api, more="cache 3600") as (dns, found):
        await dns.ask(WEB)
        add_service(api, "db", "10.96.0.2")
        await until(lambda: found.index.count(Service) == 2)
        assert (await dns.ask(WEB)).replayed
        add_service(api, "web", "10.96.0.3")
        await until(lambda: found.index.services_at(bytes((10, 96, 0, 3))) != [])
        assert (await dns.ask(WEB)).answer == [f"{WEB}. 5 A 10.96.0.3"]
        api.delete("Service", "web", "shop")
        await until(lambda: found.index.count(Service) == 1)
        assert (await dns.ask(WEB)).rcode == "NXDOMAIN"
        api.delete("Namespace", "shop")
        await until(lambda: found.index.count(Namespace) == 0)
        assert (await dns.ask("db.shop.svc.cluster.local")).rcode == "NXDOMAIN"


async def test_a_server_that_is_gone_takes_no_answers_with_it(api: ApiServer) -> None:
    add_service(api, "web")
    async with followed(api, more="ready 127.0.0.1:0") as (dns, found):
        api.close()
        await asyncio.sleep(0.05)
        assert (await dns.ask(WEB)).rcode == "NOERROR"
        assert (await dns.ask(WEB, "AAAA")).rcode == "NOERROR"
        assert found.ready()


async def test_labels_are_for_the_server_to_select(api: ApiServer) -> None:
    options = "labels tier in (web, db)\npods verified"
    async with followed(api, options):
        sent = {kind: api.asked(kind, watches=False)[0].query for kind in ("Service", "EndpointSlice", "Pod")}
        assert {query.get("labelSelector") for query in sent.values()} == {"tier in (web, db)"}
        assert "labelSelector" not in api.asked("Namespace", watches=False)[0].query
    async with followed(api, "namespace_labels env=prod"):
        assert api.asked("Namespace", watches=False)[-1].query["labelSelector"] == "env=prod"
        assert "labelSelector" not in api.asked("Service", watches=False)[-1].query


@pytest.mark.parametrize("fall", ["", "fallthrough"])
@pytest.mark.parametrize(
    ("name", "type"),
    [(WEB, "A"), ("cluster.local", "SOA"), ("1.0.96.10.in-addr.arpa", "PTR"), ("x.cluster.local", "A")],
)
async def test_what_is_not_known_yet_is_neither_denied_nor_passed_on(fall: str, name: str, type: str) -> None:
    found = plugin(Kubernetes, f"kubernetes cluster.local in-addr.arpa {{\n{fall}\n}}")
    reply = await ask(found, name, type)
    assert (reply.rcode, reply.plugin, reply.error) == (2, "kubernetes", "the cluster is not known yet")
    assert not found.ready()
    assert (await ask(found, "www.example.org")).plugin == "elsewhere"
    assert reply.keep.live, "a cache may hold it back"
    fill(found.index, found.options.kinds, [])
    assert not reply.keep.alive


async def test_what_was_not_known_yet_is_answered_as_soon_as_it_is() -> None:
    text = ".:53 {\ncache\nkubernetes cluster.local {\nendpoint http://127.0.0.1:1\nstartup_timeout 0s\n}\n}"
    async with testing.serving(text) as dns:
        assert (await dns.ask(WEB)).rcode == "SERVFAIL"
        found = next(plugin for plugin in dns.plugins if isinstance(plugin, Kubernetes))
        fill(found.index, found.options.kinds, [service("web", "10.96.0.1")])
        assert (await dns.ask(WEB)).answer == [f"{WEB}. 5 A 10.96.0.1"]


async def test_one_kind_that_is_missing_leaves_all_unknown() -> None:
    found = plugin(Kubernetes, "kubernetes cluster.local")
    found.index.replace(Namespace, [Namespace("shop")])
    found.index.replace(Service, [service("web", "10.96.0.1")])
    assert (await ask(found, WEB)).rcode == 2
    assert not found.ready()


async def test_the_start_waits_for_the_cluster_but_not_for_ever(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.refusals = [503] * 1000
    async with followed(api, "startup_timeout 50ms") as (dns, found):
        assert (await dns.ask(WEB)).rcode == "SERVFAIL"
        assert "starting server with unsynced Kubernetes API" in caplog.text
        add_service(api, "web")
        api.refusals.clear()
        await until(found.ready)
        assert (await dns.ask(WEB)).rcode == "NOERROR"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("manifests /nonexistent/cluster.yaml", "/nonexistent/cluster.yaml: no such file or folder"),
        ("endpoint ftp://192.0.2.1", "not the URL of an API server"),
        ("endpoint https://192.0.2.1\ntls /nonexistent/a /nonexistent/b /nonexistent/c", "cannot read /nonexistent/a"),
        ("", "not in a cluster: KUBERNETES_SERVICE_HOST"),
    ],
)
async def test_a_source_that_cannot_be_is_told_at_the_start(
    line: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(StartError, match="plugin/kubernetes: .*" + message):
        async with testing.serving(f".:53 {{\nkubernetes cluster.local {{\n{line}\n}}\n}}\n"):
            pass


async def test_a_reload_goes_on_with_the_cluster_it_has(api: ApiServer, tmp_path: Path) -> None:
    add_service(api, "web")
    path = tmp_path / "Corefile"
    path.write_text(text(api.url, more="bind 127.0.0.1"))
    async with Server(lambda known: testing.on_loopback(corefile.load(path, known=known)), port=0) as server:
        assert server.configuration is not None
        first = next(each for each in server.configuration.plugins if isinstance(each, Kubernetes))
        lists = len(api.asked("Service", watches=False))
        path.write_text(text(api.url, more="whoami"))
        assert await server.reload()
        second = next(each for each in server.configuration.plugins if isinstance(each, Kubernetes))
        assert second is not first
        assert second.index is first.index
        add_service(api, "db", "10.96.0.2")
        await until(lambda: second.index.count(Service) == 2)
        assert len(api.asked("Service", watches=False)) == lists


def test_the_same_words_below_another_root_are_another_cluster(tmp_path: Path) -> None:
    held = "kubernetes cluster.local {\nmanifests cluster\n}"
    (tmp_path / "cluster").mkdir()

    async def inherited(before: str, after: str) -> bool:
        old, new = plugin(Kubernetes, f"root {before}\n{held}"), plugin(Kubernetes, f"root {after}\n{held}")
        await old.start()
        try:
            return new.inherit(old)
        finally:
            await old.stop()

    assert asyncio.run(inherited(str(tmp_path), str(tmp_path)))
    assert not asyncio.run(inherited(str(tmp_path), "/"))


async def test_a_predecessor_that_never_began_has_nothing_to_hand_on() -> None:
    assert not cluster().inherit(cluster())


async def test_the_cache_lets_live_answers_pass() -> None:
    async with serving(service("web", "10.96.0.1"), more="cache 3600") as (dns, found):
        await dns.ask(WEB)
        found.index.put(service("web", "10.96.0.2"))
        assert (await dns.ask(WEB)).answer == [f"{WEB}. 5 A 10.96.0.2"]


async def test_what_fell_through_ends_when_the_name_comes_into_being() -> None:
    found = cluster(Namespace("shop"), options="fallthrough")
    before = await ask(found, WEB)
    assert (before.plugin, before.keep.alive) == ("elsewhere", True)
    found.index.put(service("web", "10.96.0.1"))
    assert not before.keep.alive
    assert (await ask(found, WEB)).plugin == "kubernetes"
