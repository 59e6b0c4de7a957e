"""k8s_crd: names that change or are not known yet, and a cluster out of reach; from an API server and from files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from pydnsk8s import testing
from pydnsk8s.kube import manifests
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.k8s_crd import K8sCrd
from pydnsk8s.server import Server
from tests.kube.api_server import ApiServer
from tests.kube.test_access import kubeconfig
from tests.kube.until import until
from tests.plugins.blocks import plugin

from .endpoints import APP, ZONE, document, entry

EXEC = "client.authentication.k8s.io/v1"
LOCAL = "filter k8gb.io/dnstype=local"
BOTH = f"{LOCAL}\nfilter k8gb.io/dnstype=extdns"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.close()


def apply(api: ApiServer, name: str, kind: str, *targets: str, dns: str = APP) -> None:
    """Put an object of one entry there, with the label that filters look at."""
    spec = {"endpoints": [entry(dns, *targets)]}
    api.apply("DNSEndpoint", name, "web", metadata={"labels": {"k8gb.io/dnstype": kind}}, spec=spec)


def text(source: str, options: str = "", more: str = "") -> str:
    return f".:53 {{\nk8s_crd {ZONE} {{\n{source}\n{options}\n}}\n{more}\n}}\n"


@asynccontextmanager
async def followed(api: ApiServer, options: str = LOCAL, more: str = "") -> AsyncIterator[tuple[testing.Dns, K8sCrd]]:
    async with testing.serving(text(f"endpoint {api.url}", options, more)) as dns:
        yield dns, next(plugin for plugin in dns.plugins if isinstance(plugin, K8sCrd))


async def addresses(dns: testing.Dns, name: str = APP) -> list[str]:
    return [line.rpartition(" ")[2] for line in (await dns.ask(name)).answer]


async def test_a_slow_login_holds_up_no_answers(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"apiVersion": EXEC, "kind": "ExecCredential", "status": {"token": "s3cret"}}
    (tmp_path / "answer").write_text(json.dumps(answer))
    # It waits for what only a loop that is not held up can write.
    (tmp_path / "login").write_text(f"#!/bin/sh\ncd {tmp_path}\nuntil [ -e go ]; do sleep 0.01; done\ncat answer\n")
    (tmp_path / "login").chmod(0o700)
    login = {"apiVersion": EXEC, "command": str(tmp_path / "login"), "interactiveMode": "Never"}
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, {"server": api.url}, {"exec": login})))
    found = plugin(K8sCrd, "k8s_crd {\nkubecontroller local\n}")
    starting = asyncio.create_task(found.start())
    await asyncio.sleep(0.05)
    (tmp_path / "go").touch()
    await starting
    assert found.ready()
    await found.stop()


async def test_names_come_change_and_go_with_their_objects(api: ApiServer) -> None:
    async with followed(api, more="cache 3600") as (dns, found):
        for replayed in (False, True):
            answer = await dns.ask(APP)
            assert (answer.rcode, answer.replayed) == ("NXDOMAIN", replayed)
        apply(api, "app", "local", "192.0.2.1")
        await until(lambda: found.index.count() == 1)
        assert [await addresses(dns) for _ in range(2)] == [["192.0.2.1"]] * 2
        apply(api, "other", "local", "192.0.2.9", dns=f"other.{ZONE}")
        await until(lambda: found.index.count() == 2)
        assert (await dns.ask(APP)).replayed, "another name ends nothing"
        apply(api, "more", "local", "192.0.2.2")
        await until(lambda: found.index.count() == 3)
        assert await addresses(dns) == ["192.0.2.1", "192.0.2.2"]
        api.delete("DNSEndpoint", "app", "web")
        api.delete("DNSEndpoint", "more", "web")
        await until(lambda: found.index.count() == 1)
        assert (await dns.ask(APP)).rcode == "NXDOMAIN"


async def test_only_what_a_filter_picks_is_served_each_with_a_watch_of_its_own(api: ApiServer) -> None:
    for number, kind in enumerate(("local", "extdns", "else"), 1):
        apply(api, kind, kind, f"192.0.2.{number}", dns=f"{kind}.{ZONE}")
    async with followed(api, BOTH) as (dns, found):
        await until(lambda: found.index.synced)
        assert [await addresses(dns, f"{kind}.{ZONE}") for kind in ("local", "extdns", "else")] == [
            ["192.0.2.1"], ["192.0.2.2"], [],
        ]  # fmt: skip
        watched = {request.query["labelSelector"] for request in api.asked("DNSEndpoint", watches=True)}
        assert watched <= {"k8gb.io/dnstype=local", "k8gb.io/dnstype=extdns"}
        apply(api, "local", "extdns", "192.0.2.4", dns=f"local.{ZONE}")
        await until(lambda: len(found.index._selections[1].held) == 2)
        await until(lambda: not found.index._selections[0].held)
        assert await addresses(dns, f"local.{ZONE}") == ["192.0.2.4"], "it went from one filter to the other"
    async with followed(api, "") as (dns, found):
        await until(lambda: found.index.synced)
        assert await addresses(dns, f"else.{ZONE}") == ["192.0.2.3"]


async def test_a_server_that_is_gone_takes_no_names_with_it(api: ApiServer) -> None:
    apply(api, "app", "local", "192.0.2.1")
    async with followed(api, BOTH) as (dns, found):
        await until(lambda: found.index.synced)
        api.close()
        assert await addresses(dns) == ["192.0.2.1"]
        assert found.ready()
        api.delete("DNSEndpoint", "app", "web")
        api.open()
        await until(lambda: found.index.count() == 0)


async def test_while_the_objects_are_not_defined_nothing_is_denied(api: ApiServer) -> None:
    api.unknown.add("DNSEndpoint")
    async with followed(api, f"{LOCAL}\nstartup_timeout 0s", "cache") as (dns, found):
        await until(lambda: bool(api.requests))
        await asyncio.sleep(0.05)
        assert (await dns.ask(APP)).rcode == "SERVFAIL"
        apply(api, "app", "local", "192.0.2.1")
        api.unknown.clear()
        await until(found.ready)
        assert await addresses(dns) == ["192.0.2.1"]


async def test_the_start_waits_for_the_objects_but_not_for_ever() -> None:
    async with testing.serving(text("endpoint http://127.0.0.1:9", "startup_timeout 0s")) as dns:
        answer = await dns.ask(APP)
        assert (answer.rcode, answer.answer) == ("SERVFAIL", [])


async def test_a_reload_goes_on_with_the_same_watches(api: ApiServer, tmp_path: Path) -> None:
    apply(api, "app", "local", "192.0.2.1")
    file = tmp_path / "Corefile"
    same = text(f"endpoint {api.url}", f"{BOTH}\nedns-subnet 192.0.2.0/24", "bind 127.0.0.1").replace(":53", ":0")
    file.write_text(same)
    async with Server.from_path(file, port=0) as server:
        asked = len(api.requests)
        before = found_in(server)
        file.write_text(same + "example.net:0 {\nbind 127.0.0.1\nwhoami\n}\n")
        assert await server.reload(force=True)
        after = found_in(server)
        assert (after is not before, after.index is before.index, len(api.requests)) == (True, True, asked)
        apply(api, "app", "local", "192.0.2.2")
        await until(lambda: len(after.index._selections[0].held) == 1)
        file.write_text(text(f"endpoint {api.url}", LOCAL, "bind 127.0.0.1").replace(":53", ":0"))
        assert await server.reload(force=True)
        assert found_in(server).index is not before.index


def found_in(server: Server) -> K8sCrd:
    assert server.configuration is not None
    return next(plugin for plugin in server.configuration.plugins if isinstance(plugin, K8sCrd))


def write(file: Path, *documents: object) -> None:
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))


async def test_manifests_are_served_and_followed_through_the_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "Manifests", partial(manifests.Manifests, every=0.01))
    file = tmp_path / "names.json"
    local = {"k8gb.io/dnstype": "local"}
    objects = [
        document(entry(APP, "192.0.2.1"), name="app", **local),
        document(entry(f"out.{ZONE}", "192.0.2.2"), name="out", **{"k8gb.io/dnstype": "extdns"}),
        document(entry(f"none.{ZONE}", "192.0.2.3"), name="none"),
    ]
    write(file, *objects)
    for options, served in ((LOCAL, [True, False, False]), (BOTH, [True, True, False]), ("", [True, True, True])):
        async with testing.serving(text(f"manifests {tmp_path}", options)) as dns:
            names = (APP, f"out.{ZONE}", f"none.{ZONE}")
            assert [(await dns.ask(name)).rcode == "NOERROR" for name in names] == served
    async with testing.serving(text(f"manifests {file}", LOCAL)) as dns:
        found = next(plugin for plugin in dns.plugins if isinstance(plugin, K8sCrd))
        await dns.ask(APP)
        write(file, document(entry(APP, "192.0.2.7"), name="app", **local))
        await until(lambda: b"\xc0\0\2\7" in found.index.find(b"\3app\5cloud\7example\3org\0")[1].data)
        assert await addresses(dns) == ["192.0.2.7"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("manifests nowhere.yaml", "no such file or folder"),
        ("endpoint ftp://127.0.0.1", "not the URL of an API server"),
        ("kubecontroller inCluster", "not in a cluster"),
        ("kubecontroller local", "nowhere.config"),
    ],
)
async def test_a_source_that_cannot_be_used_is_an_error_at_the_start(
    source: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", "nowhere.config")
    found = plugin(K8sCrd, f"k8s_crd {ZONE} {{\n{source}\n}}")
    with pytest.raises(StartError, match=f"plugin/k8s_crd: .*{told}"):
        await found.start()
    await found.stop()
