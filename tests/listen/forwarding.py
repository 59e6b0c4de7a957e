"""A server that forwards to small servers on loopback, asked over UDP."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydnsk8s import names, testing
from pydnsk8s.listen import udp
from pydnsk8s.server import Server
from tests.upstream.servers import Replies, question_end
from tests.upstream.servers import Server as Upstream

from .dns_clients import Udp, question


@asynccontextmanager
async def forwarding(directives: str, *upstreams: Upstream, more: str = "") -> AsyncIterator[Server]:
    """A server with these directives; ``{}`` stands for the addresses of the upstreams. ``more`` are other blocks."""
    text = directives.replace("{}", " ".join(upstream.address for upstream in upstreams))
    async with testing.listening(f". {{\n{text}\n}}\n{more}") as server:
        yield server


async def ask(server: Server, name: str = "www.example.org", type: str = "A") -> testing.Answer:
    with Udp() as client:
        answer, _ = await client.ask(question(name, type), ("127.0.0.1", server.port))
    return answer


def send(client: Udp, server: Server, id: int, name: str = "www.example.org") -> None:
    client.socket.sendto(question(name, id=id), ("127.0.0.1", server.port))


def listener(server: Server) -> udp.Udp:
    return next(iter(server._open.values())).udp[0]


def silence(packet: bytes, transport: str) -> Replies:
    return None


def asked(upstream: Upstream) -> Counter[str]:
    """How often the upstream was asked for each name."""
    return Counter(names.text(received.packet[12 : question_end(received.packet) - 4]) for received in upstream.asked)
