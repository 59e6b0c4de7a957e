"""Knot DNS and BIND as secondaries of a cluster's zone, and kdig and dig asking for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest
from msgspec.structs import replace

from pydnsk8s import names, testing
from pydnsk8s.kube.objects import Service
from pydnsk8s.plugins.kubernetes import Kubernetes
from pydnsk8s.server import Server
from tests.peers.programs import PATIENCE, program, running, said
from tests.ports import free_port

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
ZONE = names.parse("cluster.local")
COREFILE = f"""
cluster.local {{
    transfer {{
        to 127.0.0.1%s
    }}
    kubernetes {{
        manifests {ROOT}/docker/cluster.example.yaml
    }}
}}
"""

KNOT = """
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: info
database:
    storage: "{folder}"
remote:
  - id: us
    address: 127.0.0.1@{ours}
acl:
  - id: us
    address: 127.0.0.1
    action: [notify, transfer]
zone:
  - domain: cluster.local
    storage: "{folder}"
    master: us
    acl: us
"""

BIND = """
options {{
    directory "{folder}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    dnssec-validation no;
    recursion no;
    notify no;
}};
controls {{ }};
zone "cluster.local" {{ type secondary; primaries port {ours} {{ 127.0.0.1; }}; file "cluster.local.zone"; }};
"""


@asynccontextmanager
async def secondary(kind: str, port: int, ours: int, folder: Path) -> AsyncIterator[None]:
    config = folder / "config"
    if kind == "knot":
        config.write_text(KNOT.format(folder=folder, port=port, ours=ours))
        words = ["knotd", "-c", str(config)]
    else:
        config.write_text(BIND.format(folder=folder, port=port, ours=ours))
        words = ["named", "-g", "-n", "1", "-c", str(config)]
    async with running(words, port, folder / "log"):
        yield


async def copy(port: int) -> list[dns.rrset.RRset]:
    """Every record set of the zone, as a library copies it."""
    zone = dns.zone.Zone("cluster.local", relativize=False)
    await dns.asyncquery.inbound_xfr("127.0.0.1", zone, port=port, lifetime=PATIENCE)
    return [dns.rrset.from_rdata_list(name, held.ttl, [*held]) for name, held in zone.iterate_rdatasets()]


async def ask(port: int, name: str, type: str) -> list[dns.rrset.RRset]:
    reply = await dns.asyncquery.tcp(dns.message.make_query(name, type), "127.0.0.1", PATIENCE, port)
    return [held for held in reply.answer if held.name == dns.name.from_text(name)]


async def becomes(port: int, name: str, type: str, expected: list[dns.rrset.RRset]) -> None:
    """Wait until a server answers so."""
    async with asyncio.timeout(PATIENCE):
        while await ask(port, name, type) != expected:  # noqa: ASYNC110 - no event tells of another process
            await asyncio.sleep(0.05)


def kubernetes(server: Server) -> Kubernetes:
    assert server.configuration is not None
    return next(held for held in server.configuration.plugins if isinstance(held, Kubernetes))


@pytest.mark.parametrize("kind", ["knot", "bind"])
async def test_a_secondary_follows_the_cluster(kind: str, tmp_path: Path) -> None:
    program({"knot": "knotd", "bind": "named"}[kind])
    port = free_port()
    async with testing.listening(COREFILE % f":{port}") as server, secondary(kind, port, server.port, tmp_path):
        await becomes(port, "cluster.local.", "SOA", await ask(server.port, "cluster.local.", "SOA"))
        for held in await copy(server.port):
            await becomes(port, str(held.name), dns.rdatatype.to_text(held.rdtype), [held])
        index = kubernetes(server).index
        for octet in range(3):  # more than one change within a second
            web = index.service("shop", "admin")
            assert isinstance(web, Service)
            index.put(replace(web, cluster_ips=(bytes((10, 96, 77, octet)),)))
            assert server.configuration is not None
            tell = server.configuration.blocks[0].notify
            assert tell is not None
            tell(ZONE)
            changed = dns.rrset.from_text("admin.shop.svc.cluster.local.", 5, "IN", "A", f"10.96.77.{octet}")
            await becomes(port, "admin.shop.svc.cluster.local.", "A", [changed])


@pytest.mark.parametrize("client", ["kdig", "dig"])
async def test_a_client_gets_the_whole_zone_or_what_is_new(client: str) -> None:
    async with testing.listening(COREFILE % "") as server:

        async def transferred(type: str) -> list[str]:
            """The types of the records that came."""
            output = await said(client, "@127.0.0.1", "-p", str(server.port), type, "cluster.local")
            return [line.split()[3] for line in output.splitlines() if line and not line.startswith(";")]

        index = kubernetes(server).index
        whole = [testing.text(record).split()[2] for record in kubernetes(server).transfer(ZONE) or ()] + ["SOA"]
        assert await transferred("AXFR") == whole
        assert await transferred(f"IXFR={index.changed_at - 1}") == whole
        assert await transferred(f"IXFR={index.changed_at}") == ["SOA"]
