"""Unbound and BIND forward a zone to us that ExternalDNS wrote into etcd, or have it delegated to us."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.rcode
import pytest
import pytest_asyncio

from pydnsk8s import testing
from tests.etcd.servers import running
from tests.peers.resolvers import HOW, Resolver, asking_us

pytestmark = pytest.mark.peer

COREFILE = """
foowidgets.k8s 192.0.2.0/24 {
    etcd {
        path /skydns
        endpoint ENDPOINT
        mode MODE
    }
}
"""
VALUES: dict[str, dict[str, object]] = {
    "k8s/foowidgets/nginx/03ebf8d8": {"host": "192.0.2.200", "targetstrip": 1},
    "k8s/foowidgets/nginx/03ebf8d9": {"host": "2001:db8::200", "targetstrip": 1},
    "k8s/foowidgets/a-nginx/03ebf8da": {"text": '"heritage=external-dns"', "targetstrip": 1},
    "k8s/foowidgets/www/03ebf8db": {"host": "nginx.foowidgets.k8s", "targetstrip": 1},
    "k8s/foowidgets/apps/*/03ebf8dc": {"host": "192.0.2.201", "targetstrip": 1},
    "k8s/foowidgets/_tcp/_http/03ebf8dd": {"host": "nginx.foowidgets.k8s", "port": 80, "targetstrip": 1},
    "k8s/foowidgets/dns/ns/03ebf8de": {"host": "127.0.0.1", "targetstrip": 1},
    "arpa/in-addr/192/0/2/200": {"host": "nginx.foowidgets.k8s"},
}


@pytest_asyncio.fixture(params=HOW)
async def resolver(request: pytest.FixtureRequest, tmp_path: Path, mode: str) -> AsyncIterator[Resolver]:
    async with running(tmp_path) as etcd:
        await etcd.put({f"/skydns/{key}": json.dumps(value) for key, value in VALUES.items()})
        corefile = COREFILE.replace("ENDPOINT", etcd.access.endpoints[0]).replace("MODE", mode)
        async with testing.listening(corefile) as server:
            zones = "foowidgets.k8s", "2.0.192.in-addr.arpa"
            async with asking_us(request.param, tmp_path, server.port, *zones) as one:
                yield one


FOUND = [
    ("nginx.foowidgets.k8s", "A", ["192.0.2.200"]),
    ("NGINX.FooWidgets.k8s", "AAAA", ["2001:db8::200"]),
    ("a-nginx.foowidgets.k8s", "TXT", [r'"\"heritage=external-dns\""']),
    ("www.foowidgets.k8s", "A", ["192.0.2.200", "nginx.foowidgets.k8s."]),
    ("any-name.apps.foowidgets.k8s", "A", ["192.0.2.201"]),
    ("_http._tcp.foowidgets.k8s", "SRV", ["10 100 80 nginx.foowidgets.k8s."]),
    ("foowidgets.k8s", "NS", ["ns.dns.foowidgets.k8s."]),
    ("ns.dns.foowidgets.k8s", "A", ["127.0.0.1"]),
    ("200.2.0.192.in-addr.arpa", "PTR", ["nginx.foowidgets.k8s."]),
]
EMPTY = [
    ("nginx.foowidgets.k8s", "TXT"),
    ("foowidgets.k8s", "CAA"),
    ("_tcp.foowidgets.k8s", "TXT"),
    ("dns.foowidgets.k8s", "AAAA"),
    ("2.0.192.in-addr.arpa", "PTR"),
]
MISSING = ["none.foowidgets.k8s", "none.nginx.foowidgets.k8s", "201.2.0.192.in-addr.arpa"]


@pytest.mark.parametrize("mode", ["subtree", "strict"])
async def test_a_resolver_finds_what_is_there_and_believes_what_is_not(resolver: Resolver, mode: str) -> None:
    for name, type, expected in FOUND:
        if (type, mode) == ("SRV", "subtree"):
            continue  # the host is an alias as well there, which a resolver that minimises names believes first
        for tcp in (False, True):
            reply = await resolver.ask(name, type, tcp=tcp)
            assert sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset) == expected, f"{name}\n{reply}"
    for name, type in EMPTY:
        reply = await resolver.ask(name, type)
        kinds = {rdata.rdtype.name for rrset in reply.answer for rdata in rrset}
        assert (reply.rcode(), kinds - {"CNAME"}) == (dns.rcode.NOERROR, set()), f"{name} {type}\n{reply}"
    for name in MISSING:
        reply = await resolver.ask(name, "A")
        assert (reply.rcode(), reply.answer) == (dns.rcode.NXDOMAIN, []), f"{name}\n{reply}"
        assert reply.authority
