from __future__ import annotations

import socket

import pytest

from pydnsk8s import codes
from pydnsk8s.upstream import Address, Unanswered, resolve
from tests.upstream.servers import Replies, Server, question_end, reply


def _resolver(server: Server) -> Address:
    return Address("dns", "127.0.0.1", server.port)


def _both_families(packet: bytes, transport: str) -> Replies:
    end = question_end(packet)
    if packet[end - 3] == codes.A:
        return reply(packet, "192.0.2.7")
    record = b"\xc0\x0c\0\x1c\0\1\0\0\1\x2c\0\x10" + socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    return packet[:2] + b"\x81\x80\0\1\0\1" + bytes(4) + packet[12:end] + record


async def test_a_host_has_the_addresses_of_both_families() -> None:
    async with Server(_both_families) as server:
        assert await resolve("dns.example.org", [_resolver(server)]) == ["192.0.2.7", "2001:db8::7"]


async def test_the_next_resolver_is_asked_when_one_fails() -> None:
    async with (
        Server(lambda packet, transport: reply(packet, rcode=codes.SERVFAIL)) as broken,
        Server(_both_families) as server,
    ):
        found = await resolve("dns.example.org", [_resolver(broken), _resolver(server)])
        assert found == ["192.0.2.7", "2001:db8::7"]


async def test_a_truncated_reply_is_asked_for_again_over_tcp() -> None:
    async with Server(
        lambda packet, transport: (
            reply(packet, truncated=True) if transport == "udp" else _both_families(packet, transport)
        )
    ) as server:
        assert await resolve("dns.example.org", [_resolver(server)]) == ["192.0.2.7", "2001:db8::7"]


async def test_a_host_nobody_knows_is_a_failure_that_says_who_said_what() -> None:
    async with Server(lambda packet, transport: reply(packet, rcode=codes.NXDOMAIN)) as server:
        with pytest.raises(Unanswered, match=rf"127\.0\.0\.1:{server.port}: NXDOMAIN"):
            await resolve("dns.example.org", [_resolver(server)])


async def test_a_host_without_addresses_is_a_failure() -> None:
    async with Server(lambda packet, transport: reply(packet, empty=True)) as server:
        with pytest.raises(Unanswered, match=r"dns\.example\.org has no address"):
            await resolve("dns.example.org", [_resolver(server)])


async def test_a_malformed_reply_is_a_failure() -> None:
    async with Server(lambda packet, transport: reply(packet)[:-1]) as server:
        with pytest.raises(Unanswered, match=r"ends early|over the end"):
            await resolve("dns.example.org", [_resolver(server)])


async def test_the_system_knows_localhost() -> None:
    assert "127.0.0.1" in await resolve("localhost", [])
