"""dig and kdig as clients, and the questions of RFC 8906 that tell a sound server from others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pydnsk8s import testing
from tests.peers.programs import said

pytestmark = pytest.mark.peer

MANY = "\n".join(f"        192.0.2.{number} many.example.org" for number in range(1, 101))
COREFILE = f"""
example.org {{
    nsid our-name
    hosts {{
        192.0.2.1 www.example.org
        2001:db8::1 www.example.org
{MANY}
    }}
}}
"""


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    async with testing.listening(COREFILE) as server:
        yield server.port


async def dig(port: int, *words: str) -> str:
    output = await said("dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+timeout=5", "+nocookie", *words)
    # A server that only tells what it knows does not offer recursion, and dig says so.
    output = output.replace(";; WARNING: recursion requested but not available\n", "")
    assert "WARNING" not in output, output
    return output


async def kdig(port: int, *words: str) -> str:
    output = await said("kdig", "@127.0.0.1", "-p", str(port), "+retry=0", "+timeout=5", *words)
    assert "WARNING" not in output, output
    return output


def status(output: str) -> str:
    found = re.search(r"status: (\w+)", output)
    assert found, output
    return found[1]


def flags(output: str) -> set[str]:
    found = re.search(r"[Ff]lags: ([a-z ]*);", output)
    assert found, output
    return set(found[1].split())


def answers(output: str) -> list[str]:
    return [line.split()[-1] for line in re.findall(r"^[^;\n]\S*\s+\d+\s+IN\s+\S+\s+.*$", output, re.MULTILINE)]


@pytest.mark.parametrize("client", [dig, kdig])
@pytest.mark.parametrize(
    "words", [[], ["+tcp"], ["+noedns"], ["+bufsize=4096"], ["+bufsize=512"], ["+dnssec"], ["+norec"], ["+cdflag"]]
)
async def test_an_address_is_given_whatever_the_transport_and_edns(port: int, client: object, words: list[str]) -> None:
    assert callable(client)
    output = await client(port, "www.example.org", "AAAA", *words)
    assert status(output) == "NOERROR"
    assert answers(output) == ["2001:db8::1"]
    assert {"qr", "aa"} <= flags(output)
    assert ("rd" in flags(output)) == ("+norec" not in words)
    # dig uses EDNS unless told not to, kdig only when it needs it.
    asks_with_edns = (
        "+noedns" not in words if client is dig else bool({"+bufsize=4096", "+bufsize=512", "+dnssec"} & {*words})
    )
    assert ("EDNS" in output) == asks_with_edns


async def test_a_cut_answer_is_asked_for_again_over_tcp(port: int) -> None:
    output = await dig(port, "many.example.org", "+bufsize=512")
    assert "Truncated, retrying in TCP mode" in output
    assert len(answers(output)) == 100
    output = await said("kdig", "@127.0.0.1", "-p", str(port), "many.example.org")
    assert "truncated reply" in output
    assert len(answers(output)) == 100
    assert "tc" in flags(await dig(port, "many.example.org", "+ignore", "+bufsize=512"))


async def test_many_questions_go_over_one_connection(port: int) -> None:
    output = await dig(port, "+tcp", "+keepopen", *["www.example.org", "many.example.org"] * 5)
    assert output.count("status: NOERROR") == 10


@pytest.mark.parametrize("words", [["+nsid"], ["+nsid", "+tcp"]])
async def test_the_servers_name_is_told(port: int, words: list[str]) -> None:
    assert "our-name" in await dig(port, "www.example.org", *words)
    assert "our-name" in await kdig(port, "www.example.org", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["+cookie"],
        ["+cookie=0011223344556677"],
        ["+subnet=192.0.2.0/24"],
        ["+subnet=2001:db8::/56"],
        ["+subnet=0.0.0.0/0"],
        ["+ednsopt=100:abcd"],
        ["+ednsopt=65001"],
        ["+padding=128"],
        ["+keepalive", "+tcp"],
        ["+expire"],
        ["+ednsflags=0x0080"],
    ],
)
async def test_options_and_flags_that_mean_nothing_to_us_change_nothing(port: int, words: list[str]) -> None:
    """RFC 8906 sections 8.2.3 and 8.2.4."""
    output = await dig(port, "www.example.org", *words)
    assert status(output) == "NOERROR"
    assert answers(output) == ["192.0.2.1"]
    assert "EDNS: version: 0" in output
    assert "MBZ" not in output
    assert "OPT=" not in output


RFC_8906 = [
    # Section 8.1.1: is the server there at all
    (["SOA", "+noedns", "+noad", "+norec"], "NOERROR", False),
    # 8.1.2: a type nobody knows
    (["TYPE1000", "+noedns", "+noad", "+norec"], "NOERROR", False),
    # 8.1.3.1 to 8.1.3.3: header bits
    (["SOA", "+noedns", "+noad", "+norec", "+cdflag"], "NOERROR", False),
    (["SOA", "+noedns", "+noad", "+norec", "+zflag"], "NOERROR", False),
    (["SOA", "+noedns", "+adflag", "+norec"], "NOERROR", False),
    (["SOA", "+noedns", "+noad", "+rec"], "NOERROR", False),
    # 8.1.4: an opcode nobody knows
    (["SOA", "+opcode=15", "+noedns", "+noad", "+norec", "+header-only"], "NOTIMP", False),
    (["SOA", "+opcode=status", "+noedns", "+noad", "+norec", "+header-only"], "NOTIMP", False),
    # 8.1.5: TCP
    (["SOA", "+noedns", "+noad", "+norec", "+tcp"], "NOERROR", False),
    # 8.2.1: EDNS
    (["SOA", "+edns=0", "+noad", "+norec"], "NOERROR", True),
    # 8.2.2: a version nobody speaks
    (["SOA", "+edns=1", "+noednsneg", "+noad", "+norec"], "BADVERS", True),
    # 8.2.3: an unknown option
    (["SOA", "+edns=0", "+ednsopt=100", "+noad", "+norec"], "NOERROR", True),
    # 8.2.4: an unknown flag
    (["SOA", "+edns=0", "+ednsflags=0x40", "+noad", "+norec"], "NOERROR", True),
    # 8.2.5: an unknown version with an unknown flag
    (["SOA", "+edns=1", "+noednsneg", "+ednsflags=0x40", "+noad", "+norec"], "BADVERS", True),
    # 8.2.6: an unknown version with an unknown option
    (["SOA", "+edns=1", "+noednsneg", "+ednsopt=100", "+noad", "+norec"], "BADVERS", True),
    # 8.2.7: truncation
    (["DNSKEY", "+edns=0", "+dnssec", "+bufsize=512", "+ignore", "+noad", "+norec"], "NOERROR", True),
    # 8.2.8: DO
    (["SOA", "+edns=0", "+dnssec", "+noad", "+norec"], "NOERROR", True),
    # 8.2.9: an unknown version with DO
    (["SOA", "+edns=1", "+noednsneg", "+dnssec", "+noad", "+norec"], "BADVERS", True),
    # 8.2.10: many known options at once
    (["SOA", "+edns=0", "+noad", "+norec", "+nsid", "+cookie", "+expire", "+subnet=0.0.0.0/0"], "NOERROR", True),
    # Other opcodes; no plugin here takes notice of a NOTIFY.
    (["SOA", "+opcode=update", "+noedns", "+noad", "+norec", "+header-only"], "NOTIMP", False),
]


@pytest.mark.parametrize(
    ("words", "rcode", "edns"), RFC_8906, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
async def test_the_table_of_rfc_8906(port: int, words: list[str], rcode: str, edns: bool) -> None:
    output = await dig(port, "www.example.org", *words)
    assert status(output) == rcode
    assert ("; EDNS: version: 0" in output) == edns
    assert "ad" not in flags(output)
    assert ("rd" in flags(output)) == ("+rec" in words)
    assert "MBZ" not in output
    assert "OPT=100" not in output


async def test_a_notify_is_answered(port: int) -> None:
    assert status(await dig(port, "www.example.org", "SOA", "+opcode=notify", "+norec")) in (
        "NOTIMP",
        "NOERROR",
        "REFUSED",
    )


async def test_the_letter_case_comes_back(port: int) -> None:
    output = await dig(port, "wWw.eXample.oRG")
    assert re.search(r"^;wWw\.eXample\.oRG\.\s", output, re.MULTILINE)
    assert re.search(r"^wWw\.eXample\.oRG\.\s", output, re.MULTILINE)
