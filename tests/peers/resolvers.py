"""Resolvers of others in front of us, configured as a company would and started for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message

from tests.peers.programs import free_port, running

_UNBOUND = """
server:
    interface: 127.0.0.1
    port: {port}
    access-control: 127.0.0.0/8 allow
    directory: "{folder}"
    pidfile: ""
    chroot: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    do-ip6: no
    do-not-query-localhost: no
    root-hints: "{folder}/none"
{server}
remote-control:
    control-enable: no
{zones}
"""
_BIND = """
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
{zones}
"""


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
async def unbound(folder: Path, server: str, zones: str) -> AsyncIterator[Resolver]:
    """Unbound, with these lines in its server clause and these clauses for zones."""
    resolver = Resolver(free_port(), folder / "unbound.log")
    (folder / "none").write_text("")
    config = folder / "unbound.conf"
    config.write_text(_UNBOUND.format(port=resolver.port, folder=folder, server=server, zones=zones))
    async with running(["unbound", "-d", "-c", str(config)], resolver.port, resolver.log):
        yield resolver


@asynccontextmanager
async def bind(folder: Path, ours: int, zones: str) -> AsyncIterator[Resolver]:
    """BIND that forwards everything to us, with these clauses for zones."""
    resolver = Resolver(free_port(), folder / "named.log")
    config = folder / "named.conf"
    config.write_text(_BIND.format(port=resolver.port, folder=folder, ours=ours, zones=zones))
    async with running(["named", "-4", "-g", "-n", "1", "-c", str(config)], resolver.port, resolver.log):
        yield resolver
