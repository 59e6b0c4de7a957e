"""forward: client subnets are passed on or kept back, and a reply about another one is not believed."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Edns
from tests.test_subnet import option
from tests.upstream.servers import Behaviour, Server, question_end, reply

from .blocks import errors

TOLD = option("203.0.113.0/24")


def saying(data: bytes | None, rcode: int = 0) -> Behaviour:
    """A server that puts these octets into the client subnet of its replies; none at all without a subnet asked."""

    def behave(packet: bytes, transport: str) -> bytes:
        plain = reply(packet, rcode=rcode if b"\0\x08\0\7" in packet else 0)
        options = b"" if data is None else b"\0\x08" + len(data).to_bytes(2, "big") + data
        opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2, "big") + options
        return plain[:10] + b"\0\1" + plain[12:] + opt

    return behave


def sent(server: Server, number: int = 0) -> bytes:
    packet = server.asked[number].packet
    return packet[question_end(packet) + 11 :]


async def test_a_subnet_goes_out_as_it_came_and_the_scope_comes_back() -> None:
    async with Server(saying(option("203.0.113.0/24", 20)[1])) as server:
        async with testing.serving(f".:53 {{\nforward . {server.address}\n}}") as dns:
            answer = await dns.ask("example.org", edns=Edns(options=(TOLD,)))
            assert answer.options == (option("203.0.113.0/24", 20),)
            assert sent(server) == b"\0\x08\0\7" + TOLD[1]


async def test_a_reply_without_one_is_for_all() -> None:
    async with Server() as server, testing.serving(f".:53 {{\nforward . {server.address}\n}}") as dns:
        assert (await dns.ask("example.org", edns=Edns(options=(TOLD,)))).options == (TOLD,)


async def test_a_subnet_nobody_asked_with_does_not_reach_the_client() -> None:
    async with Server(saying(TOLD[1])) as server, testing.serving(f".:53 {{\nforward . {server.address}\n}}") as dns:
        assert (await dns.ask("example.org", edns=Edns())).options == ()


@pytest.mark.parametrize("data", [option("203.0.114.0/24")[1], option("203.0.113.0/25")[1], b"\0\1\x18", b""])
async def test_a_reply_about_another_subnet_is_not_believed(data: bytes) -> None:
    async with Server(saying(data)) as forger, Server(saying(TOLD[1])) as honest:
        servers = f"forward . {forger.address} {honest.address} {{\npolicy sequential\n}}"
        async with testing.serving(f".:53 {{\n{servers}\n}}") as dns:
            answer = await dns.ask("example.org", edns=Edns(options=(TOLD,)))
            assert (answer.rcode, answer.options) == ("NOERROR", (TOLD,))
            assert (len(forger.asked), len(honest.asked)) == (1, 1)


async def test_who_knows_of_nothing_but_another_subnet_has_not_answered() -> None:
    async with Server(saying(option("203.0.114.0/24")[1])) as forger:
        async with testing.serving(f".:53 {{\nforward . {forger.address}\n}}") as dns:
            answer = await dns.ask("example.org", edns=Edns(options=(TOLD,)))
            assert (answer.rcode, answer.answer) == ("SERVFAIL", [])


async def test_a_server_that_refuses_subnets_is_asked_without_and_its_answer_is_not_shared() -> None:
    async with Server(saying(None, codes.REFUSED)) as server:
        async with testing.serving(f".:53 {{\ncache\nforward . {server.address}\n}}") as dns:
            answer = await dns.ask("example.org", edns=Edns(options=(TOLD,)))
            assert (answer.rcode, answer.options) == ("NOERROR", (option("203.0.113.0/24", 24),))
            assert [sent(server, number) for number in range(2)] == [b"\0\x08\0\7" + TOLD[1], b""]
            await dns.ask("example.org", edns=Edns(options=(option("203.0.114.0/24"),)))
            assert len(server.asked) == 4


async def test_a_stripped_subnet_stays_here_and_all_subnets_share_the_answer() -> None:
    async with Server(saying(TOLD[1])) as server:
        corefile = f".:53 {{\ncache\nforward . {server.address} {{\necs strip\n}}\n}}"
        async with testing.serving(corefile) as dns:
            for prefix in ("203.0.113.0/24", "198.51.100.0/24"):
                answer = await dns.ask("example.org", edns=Edns(options=(option(prefix), (65001, b"x"))))
                assert (answer.rcode, answer.options) == ("NOERROR", (option(prefix),))
            assert len(server.asked) == 1
            assert sent(server) == b"\xfd\xe9\0\1x"


async def test_scopes_reach_the_cache() -> None:
    async with Server(saying(option("203.0.113.0/24", 24)[1])) as server:
        async with testing.serving(f".:53 {{\ncache\nforward . {server.address}\n}}") as dns:
            for prefix in ("203.0.113.0/24", "203.0.113.0/24", "203.0.113.0/25", "203.0.113.128/25"):
                answer = await dns.ask("example.org", edns=Edns(options=(option(prefix),)))
                assert answer.options == (option(prefix, 24),)
            assert len(server.asked) == 1


def test_subnets_are_passed_or_stripped() -> None:
    assert "expected one of pass, strip" in errors("forward . 192.0.2.1 {\necs maybe\n}")
    assert "expected: ecs pass|strip" in errors("forward . 192.0.2.1 {\necs\n}")
