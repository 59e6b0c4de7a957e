"""Resolvers of others in front of us, configured as a company would and started for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message

from tests.peers.programs import program, running
from tests.ports import free_port

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


# Spells its questions at random (0x20) and goes down label by label (RFC 9156).
_STRICT = """
    module-config: "iterator"
    use-caps-for-id: yes
    qname-minimisation: yes
    harden-below-nxdomain: yes
    harden-referral-path: no
    edns-buffer-size: 1232
"""
HOW = ("unbound forward", "unbound stub", "bind forward")
"""Who asks us, and what we are to them: a forwarder, or the authority of stub zones."""


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


@asynccontextmanager
async def asking_us(how: str, folder: Path, ours: int, *zones: str) -> AsyncIterator[Resolver]:
    """One of those in HOW that asks us for these zones; every other name is forwarded to us, too."""
    daemon, kind = how.split()
    program({"bind": "named"}.get(daemon, daemon))
    if daemon == "bind":
        to_us = f"type forward; forward only; forwarders port {ours} {{ 127.0.0.1; }};"
        start = bind(folder, ours, "\n".join(f'zone "{zone}" {{ {to_us} }};' for zone in zones))
    else:
        clauses = [f'{kind}-zone:\n    name: "{zone}"\n    {kind}-addr: 127.0.0.1@{ours}' for zone in zones]
        clauses.append(f'forward-zone:\n    name: "."\n    forward-addr: 127.0.0.1@{ours}')
        # Unbound has empty reverse zones of its own in the way.
        plain = "".join(f'    local-zone: "{zone}." nodefault\n' for zone in zones if zone.endswith("in-addr.arpa"))
        start = unbound(folder, _STRICT + plain, "\n".join(clauses))
    async with start as resolver:
        yield resolver
