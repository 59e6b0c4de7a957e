"""etcd, the plugin, with a real etcd behind it: what ExternalDNS writes is answered, and goes on being answered."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pydnsk8s import metrics, testing
from pydnsk8s.plugins.etcd import Etcd
from pydnsk8s.server import Server
from pydnsk8s.testing import Answer, Dns
from tests.etcd.servers import Cluster, Tls, running
from tests.kube.until import until

pytestmark = pytest.mark.peer

# The recipe of many a tutorial: kubeadm's Corefile with three lines more.
RECIPE = """
.:53 {
    errors
    health {
        lameduck 0s
    }
    ready 127.0.0.1:0
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        endpoint http://127.0.0.1:1
        startup_timeout 0s
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . 127.0.0.1:1
    cache 30
    loop
    reload
    loadbalance
    etcd foowidgets.k8s {
        stubzones
        path /skydns
        endpoint ENDPOINT
    }
}
"""
NGINX = "/skydns/k8s/foowidgets/nginx/03ebf8d8"


@pytest_asyncio.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running(tmp_path) as cluster:
        yield cluster


def target(address: str, **more: object) -> str:
    """A value as ExternalDNS writes it."""
    return json.dumps({"host": address, "targetstrip": 1, **more}, separators=(",", ":"))


def owned(resource: str) -> str:
    text = f'"heritage=external-dns,external-dns/owner=default,external-dns/resource={resource}"'
    return json.dumps({"text": text, "targetstrip": 1}, separators=(",", ":"))


async def becomes(dns: Dns, expected: list[str], name: str, type: str = "A") -> Answer:
    """Ask until the answer is this; the test fails if that takes ten seconds."""
    async with asyncio.timeout(10):
        while True:
            answer = await dns.ask(name, type)
            if sorted(answer.answer) == sorted(expected):
                return answer
            await asyncio.sleep(0.001)


async def test_a_service_is_announced_moved_and_withdrawn(etcd: Cluster) -> None:
    async with testing.serving(RECIPE.replace("ENDPOINT", etcd.access.endpoints[0])) as dns:
        assert (await dns.ask("nginx.foowidgets.k8s")).rcode == "NXDOMAIN"
        heritage = {f"/skydns/k8s/foowidgets/a-nginx/{number:08x}": owned("service/default/nginx") for number in (1, 2)}
        await etcd.put({NGINX: target("192.0.2.200"), **heritage})
        answer = await becomes(dns, ["nginx.foowidgets.k8s. 300 A 192.0.2.200"], "nginx.foowidgets.k8s")
        assert "aa" in answer.flags
        text = "external-dns,external-dns/owner=default,external-dns/resource=service/default/nginx"
        assert (await dns.ask("a-nginx.foowidgets.k8s", "TXT")).answer == [
            rf'a-nginx.foowidgets.k8s. 300 TXT "\"heritage={text}\""'
        ]
        six = {
            NGINX[:-1] + "9": target("2001:db8::200", ttl=60),
            "/skydns/k8s/foowidgets/www/1": target("nginx.foowidgets.k8s"),
        }
        await etcd.put(six)
        await becomes(dns, ["nginx.foowidgets.k8s. 60 AAAA 2001:db8::200"], "nginx.foowidgets.k8s", "AAAA")
        await becomes(
            dns,
            ["www.foowidgets.k8s. 300 CNAME nginx.foowidgets.k8s.", "nginx.foowidgets.k8s. 300 A 192.0.2.200"],
            "www.foowidgets.k8s",
        )
        await etcd.put({NGINX: target("192.0.2.201", ttl=30)})
        await becomes(dns, ["nginx.foowidgets.k8s. 30 A 192.0.2.201"], "nginx.foowidgets.k8s")
        await etcd.delete(NGINX, NGINX[:-1] + "9", *heritage)
        await becomes(dns, [], "nginx.foowidgets.k8s")
        assert (await dns.ask("nginx.foowidgets.k8s")).rcode == "NXDOMAIN"


def connected() -> float:
    lines = metrics.exposition()[1].decode().splitlines()
    return float(next(line for line in reversed(lines) if line.startswith("coredns_etcd_connected{")).split()[1])


async def test_answers_go_on_without_etcd(etcd: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    await etcd.put({NGINX: target("192.0.2.200")})
    (endpoint,) = etcd.access.endpoints
    async with testing.serving(f"foowidgets.k8s {{\n etcd {{\n endpoint {endpoint}\n }}\n}}") as dns:
        expected = ["nginx.foowidgets.k8s. 300 A 192.0.2.200"]
        await becomes(dns, expected, "nginx.foowidgets.k8s")
        assert connected() == 1
        etcd.members[0].kill()
        await until(lambda: not connected())
        assert "serving 1 keys as last known" in caplog.text
        await becomes(dns, expected, "nginx.foowidgets.k8s")
        assert (await dns.ask("other.foowidgets.k8s")).rcode == "NXDOMAIN"
        assert all(plugin.ready() for plugin in dns.plugins)
        etcd.start(etcd.members[0])
        await etcd.put({NGINX: target("192.0.2.201")})
        await becomes(dns, ["nginx.foowidgets.k8s. 300 A 192.0.2.201"], "nginx.foowidgets.k8s")
        assert connected() == 1


async def test_without_etcd_from_the_start_nothing_is_denied(tmp_path: Path) -> None:
    async with testing.serving("foowidgets.k8s {\n etcd {\n endpoint http://127.0.0.1:1\n }\n}") as dns:
        assert (await dns.ask("nginx.foowidgets.k8s")).rcode == "SERVFAIL"
        assert not any(plugin.ready() for plugin in dns.plugins)


async def test_tls_files_are_found_below_root(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    async with running(tmp_path, tls=tls, client_certificates=True) as etcd:
        await etcd.put({NGINX: target("192.0.2.200")})
        options = f"endpoint {etcd.access.endpoints[0]}\n tls cert.pem key.pem ca.pem"
        async with testing.serving(f"foowidgets.k8s {{\n root {tmp_path}\n etcd {{\n {options}\n }}\n}}") as dns:
            await becomes(dns, ["nginx.foowidgets.k8s. 300 A 192.0.2.200"], "nginx.foowidgets.k8s")


async def test_a_reload_keeps_tree_and_watch(etcd: Cluster) -> None:
    text = f"foowidgets.k8s:0 {{\n bind 127.0.0.1\n etcd {{\n endpoint {etcd.access.endpoints[0]}\n }}\n}}\n"
    async with Server.from_text(text) as server:

        def plugin() -> Etcd:
            assert server.configuration is not None
            return next(plugin for plugin in server.configuration.plugins if isinstance(plugin, Etcd))

        before = plugin()
        await server.reload()
        assert plugin() is not before
        assert plugin().tree is before.tree
        await etcd.put({NGINX: target("192.0.2.200")})
        await until(lambda: len(plugin().tree) == 1)


async def test_random_changes_and_disconnections_end_as_a_fresh_list(etcd: Cluster) -> None:
    corefile = f"foowidgets.k8s {{\n etcd {{\n endpoint {etcd.access.endpoints[0]}\n }}\n}}"
    labels = ("a", "b", "a/x", "b/x/y", "*")
    names = ("foowidgets.k8s", "a.foowidgets.k8s", "x.a.foowidgets.k8s", "b.foowidgets.k8s", "q.foowidgets.k8s")
    types = ("A", "TXT", "CNAME", "SRV")
    values = (target("192.0.2.1"), target("a.foowidgets.k8s", port=80), owned("x"), "{", target("192.0.2.2", group="g"))
    async with testing.serving(corefile) as dns:
        for round in range(4):
            revision = 0
            if round % 2:
                etcd.members[0].kill()
                etcd.start(etcd.members[0])
                await etcd.answers()
            for _ in range(12):
                key = f"/skydns/k8s/foowidgets/{random.choice(labels)}"
                if random.random() < 0.3:
                    await etcd.delete(key)
                else:
                    revision = await etcd.put({key: random.choice(values)})
                for name in names:
                    await dns.ask(name)
            if revision:
                await etcd.gateway("kv/compaction", revision=revision)
            async with testing.serving(corefile) as fresh:
                for name in names:
                    for type in types:
                        expected = await fresh.ask(name, type)
                        answer = await becomes(dns, expected.answer, name, type)
                        assert answer.rcode == expected.rcode
