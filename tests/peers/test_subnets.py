"""Client subnets as others write them: dig, kdig, and Unbound in front of us with its own cache of networks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pydnsk8s import testing
from tests import databases
from tests.peers.programs import said
from tests.peers.resolvers import unbound

pytestmark = pytest.mark.peer

# The loopback's networks are all there is to send from.
NETWORKS = databases.countries(DE="127.0.0.0/16", FR="127.1.0.0/17", NL="203.0.113.0/25", BE="2001:db8::/33")
COUNTRIES = {"DE": 1, "FR": 2, "NL": 3, "BE": 4}
BLOCK = """
example.org {{
    metadata
    geoip {path} {{
        edns-subnet
    }}
    view {code} {{
        expr metadata('geoip/country/code') == '{code}'
    }}
    hosts {{
        192.0.2.{last} www.example.org
    }}
}}
"""
SUBNETS = """
    module-config: "subnetcache iterator"
    {subnets}
    max-client-subnet-ipv4: 24
"""


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[int]:
    path = databases.write(folder / "a.mmdb", NETWORKS, "GeoLite2-Country")
    blocks = [BLOCK.format(path=path, code=code, last=last) for code, last in COUNTRIES.items()]
    blocks.append("example.org {\nhosts {\n192.0.2.99 www.example.org\n}\n}")
    async with testing.listening("\n".join(blocks)) as server:
        yield server.port


@pytest.mark.parametrize("client", ["dig", "kdig"])
@pytest.mark.parametrize(
    ("told", "address", "echoed"),
    [
        ("203.0.113.0/24", "192.0.2.3", "203.0.113.0/24/25"),
        ("203.0.113.128/25", "192.0.2.99", "203.0.113.128/25/25"),
        ("127.1.2.0/24", "192.0.2.2", "127.1.2.0/24/17"),
        ("2001:db8::/48", "192.0.2.4", "2001:db8::/48/33"),
        ("0.0.0.0/0", "192.0.2.1", "0.0.0.0/0/0"),
    ],
)
async def test_the_clients_see_the_answer_and_its_scope(
    tmp_path: Path, client: str, told: str, address: str, echoed: str
) -> None:
    async with serving(tmp_path) as port:
        for _ in range(2):
            output = await said(client, "@127.0.0.1", "-p", str(port), "www.example.org", "A", f"+subnet={told}")
            assert "WARNING: recursion" in output or "WARN" not in output, output
            assert re.search(rf"^www\.example\.org\.\s.*\s{re.escape(address)}$", output, re.MULTILINE), output
            assert re.search(rf"CLIENT-SUBNET: {re.escape(echoed)}", output), output


async def test_an_opaque_option_that_is_malformed_is_a_format_error_with_edns(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        words = ["@127.0.0.1", "-p", str(port), "www.example.org", "A", "+nocookie", "+ednsopt=8:00011800cb0071ff"]
        output = await said("dig", *words)
        assert "status: FORMERR" in output
        assert "EDNS: version: 0" in output


async def asked(port: int, source: str) -> str:
    output = await said("dig", "@127.0.0.1", "-p", str(port), "-b", source, "www.example.org", "A", "+short")
    return output.strip()


@pytest.mark.parametrize(
    ("subnets", "answers"),
    [
        ("send-client-subnet: 127.0.0.0/8", {"127.0.0.9": 1, "127.1.0.9": 2, "127.1.0.10": 2, "127.1.128.1": 99}),
        ("", {"127.0.0.9": 1, "127.1.0.9": 1, "127.1.128.1": 1}),
    ],
    ids=["with subnets", "without"],
)
async def test_clients_behind_unbound(tmp_path: Path, subnets: str, answers: dict[str, int]) -> None:
    folder = tmp_path / "unbound"
    folder.mkdir()
    async with serving(tmp_path) as ours:
        stub = f'stub-zone:\n    name: "example.org"\n    stub-addr: 127.0.0.1@{ours}'
        async with unbound(folder, SUBNETS.format(subnets=subnets), stub) as resolver:
            for _ in range(2):
                for source, last in answers.items():
                    assert await asked(resolver.port, source) == f"192.0.2.{last}", source
