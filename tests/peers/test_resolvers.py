"""Unbound and BIND forward two zones to us, as a company's resolvers do, and find everything there.

They have nobody else to ask: every other name is forwarded to us, too, and refused.
"""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
import pytest_asyncio

from pydnsk8s import testing
from tests.peers.programs import free_port, program, running

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
COREFILE = f"""
cluster.local 10.in-addr.arpa {{
    kubernetes cluster.local 10.in-addr.arpa {{
        manifests {ROOT}/docker/cluster.example.yaml
        pods insecure
        ttl 30
    }}
}}
"""

UNBOUND = """
server:
    interface: 127.0.0.1
    port: {port}
    directory: "{folder}"
    pidfile: ""
    chroot: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    do-ip6: no
    module-config: "iterator"
    do-not-query-localhost: no
    use-caps-for-id: yes
    qname-minimisation: yes
    harden-below-nxdomain: yes
    harden-referral-path: no
    edns-buffer-size: 1232
    local-zone: "10.in-addr.arpa." nodefault
    root-hints: "{folder}/none"
remote-control:
    control-enable: no
{kind}-zone:
    name: "cluster.local"
    {kind}-addr: 127.0.0.1@{ours}
{kind}-zone:
    name: "10.in-addr.arpa"
    {kind}-addr: 127.0.0.1@{ours}
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{ours}
"""

BIND = """
options {{
    directory "{folder}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    dnssec-validation no;
    recursion yes;
    allow-query {{ 127.0.0.1; }};
    empty-zones-enable no;
    qname-minimization strict;
    forward only;
    forwarders port {ours} {{ 127.0.0.1; }};
}};
controls {{ }};
zone "cluster.local" {{ {zone} }};
zone "10.in-addr.arpa" {{ {zone} }};
"""
_FORWARD = "type forward; forward only; forwarders port {ours} {{ 127.0.0.1; }};"
_STATIC_STUB = 'type static-stub; server-addresses {{ 127.0.0.1; }}; forwarders {{ }};'


@dataclass
class Resolver:
    """Somebody who asks us."""

    port: int
    log: Path

    async def ask(self, name: str, type: str, *, tcp: bool = False, flags: int = dns.flags.RD) -> dns.message.Message:
        query = dns.message.make_query(name, type, use_edns=0, payload=1232)
        query.flags = dns.flags.Flag(flags)
        ask = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await ask(query, "127.0.0.1", 10, self.port)


@asynccontextmanager
async def unbound(folder: Path, ours: int, kind: str) -> AsyncIterator[Resolver]:
    resolver = Resolver(free_port(), folder / "log")
    (folder / "none").write_text("")
    config = folder / "unbound.conf"
    config.write_text(UNBOUND.format(port=resolver.port, folder=folder, kind=kind, ours=ours))
    async with running(["unbound", "-d", "-c", str(config)], resolver.port, resolver.log):
        yield resolver


@asynccontextmanager
async def bind(folder: Path, ours: int, kind: str) -> AsyncIterator[Resolver]:
    resolver = Resolver(free_port(), folder / "log")
    config = folder / "named.conf"
    config.write_text(BIND.format(port=resolver.port, folder=folder, ours=ours, zone=_FORWARD.format(ours=ours)))
    async with running(["named", "-g", "-n", "1", "-c", str(config)], resolver.port, resolver.log):
        yield resolver
