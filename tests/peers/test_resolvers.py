"""Unbound and BIND forward two zones to us, as a company's resolvers do, and find everything there.

They have nobody else to ask: every other name is forwarded to us, too, and refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
import pytest_asyncio

from pydnsk8s import testing
from tests.peers.resolvers import HOW, Resolver, asking_us

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
example.com {{
    hosts {{
        192.0.2.77 ledger.example.com
    }}
}}
"""


@pytest_asyncio.fixture(params=HOW)
async def resolver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Resolver]:
    async with testing.listening(COREFILE) as server:
        # One address for all zones, so that a resolver can be told of it.
        assert len(server.ports) == 1
        async with asking_us(request.param, tmp_path, server.port, "cluster.local", "10.in-addr.arpa") as one:
            yield one


FOUND = [
    ("kubernetes.default.svc.cluster.local", "A", ["10.96.0.1"]),
    ("KuberNetes.Default.SVC.cluster.LOCAL", "A", ["10.96.0.1"]),
    ("dashboard.monitoring.svc.cluster.local", "AAAA", ["2001:db8:96::3000"]),
    ("basket.shop.svc.cluster.local", "A", ["10.244.1.40", "10.244.2.40"]),
    ("basket-0.basket.shop.svc.cluster.local", "A", ["10.244.1.40"]),
    ("10-244-1-9.agents.monitoring.svc.cluster.local", "A", ["10.244.1.9"]),
    (
        "_https._tcp.kubernetes.default.svc.cluster.local",
        "SRV",
        [".* 443 kubernetes.default.svc.cluster.local."],
    ),
    ("10-1-2-3.shop.pod.cluster.local", "A", ["10.1.2.3"]),
    ("1.0.96.10.in-addr.arpa", "PTR", ["kubernetes.default.svc.cluster.local."]),
    ("40.1.244.10.in-addr.arpa", "PTR", ["basket-0.basket.shop.svc.cluster.local."]),
    ("ledger.legacy.svc.cluster.local", "CNAME", ["ledger.example.com."]),
    ("ledger.legacy.svc.cluster.local", "A", ["ledger.example.com.", "192.0.2.77"]),
    ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
    ("cluster.local", "SOA", ["ns.dns.cluster.local. .*"]),
    ("cluster.local", "NS", ["ns.dns.cluster.local."]),
]
# Names that exist without the type asked for, empty non-terminals and apexes among them: no answer, but no NXDOMAIN.
EMPTY = [
    ("kubernetes.default.svc.cluster.local", "AAAA"),
    ("dashboard.monitoring.svc.cluster.local", "A"),
    ("kubernetes.default.svc.cluster.local", "MX"),
    ("shop.svc.cluster.local", "A"),
    ("svc.cluster.local", "A"),
    ("cluster.local", "A"),
    ("cluster.local", "DS"),
    ("cluster.local", "DNSKEY"),
    ("10.in-addr.arpa", "PTR"),
]
MISSING = ["none.shop.svc.cluster.local", "a.none.svc.cluster.local", "none.cluster.local", "250.0.96.10.in-addr.arpa"]


async def test_what_is_there_is_found_through_a_resolver(resolver: Resolver) -> None:
    for tcp in (False, True):
        for name, type, expected in FOUND:
            reply = await resolver.ask(name, type, tcp=tcp)
            found = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
            where = f"{name} {type}\n{reply}\n{resolver.log.read_text(errors='replace')[-2000:]}"
            assert reply.rcode() == dns.rcode.NOERROR, where
            assert len(found) == len(expected), where
            for pattern, data in zip(sorted(expected), sorted(found), strict=True):
                assert re.fullmatch(pattern, data), where


async def test_a_denial_stays_one_through_a_resolver(resolver: Resolver) -> None:
    for name, type in EMPTY:
        if type == "DS" and resolver.log.name == "named.log":
            continue  # BIND believes only the parent, and there is none here
        reply = await resolver.ask(name, type)
        assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, []), f"{name} {type}\n{reply}"
    for name in MISSING:
        reply = await resolver.ask(name, "A")
        assert reply.rcode() == dns.rcode.NXDOMAIN, f"{name}\n{reply}"
        assert any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority), str(reply)
    # Nothing that was denied has taken a name below it along (RFC 8020).
    reply = await resolver.ask("kubernetes.default.svc.cluster.local", "A")
    assert len(reply.answer) == 1


async def test_a_name_outside_our_zones_fails_and_nothing_else_does(resolver: Resolver) -> None:
    reply = await resolver.ask("www.example.net", "A")
    assert reply.rcode() in (dns.rcode.SERVFAIL, dns.rcode.REFUSED)
    assert (await resolver.ask("kubernetes.default.svc.cluster.local", "A")).rcode() == dns.rcode.NOERROR


async def test_the_resolver_has_nothing_to_complain_of(resolver: Resolver) -> None:
    for name, type, _ in FOUND:
        await resolver.ask(name, type)
    log = resolver.log.read_text(errors="replace")
    for word in ("lame", "FORMERR", "caps-for-id", "non-improving", "broken", "timed out"):
        assert word not in log, log
