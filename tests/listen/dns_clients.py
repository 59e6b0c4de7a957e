"""Clients for real sockets: a plain UDP socket, and a TCP connection that can be as rude as it likes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from pydnsk8s import codes, names, testing
from pydnsk8s.server import Server
from pydnsk8s.testing import Answer
from pydnsk8s.wire import query

PATIENCE = 10.0
HOSTS = """
hosts {
    192.0.2.1 a.example.org
    192.0.2.2 b.example.org
}
"""


def question(name: str = "a.example.org", type: str = "A", *, id: int = 1) -> bytes:
    return query(names.parse_keeping_case(name), codes.parse_type(type), id=id)


def framed(packet: bytes) -> bytes:
    """With its length in front (RFC 1035 section 4.2.2)."""
    return len(packet).to_bytes(2, "big") + packet


class Udp:
    """A UDP client that knows whom it asked."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    async def ask(self, packet: bytes, to: tuple[str, int]) -> tuple[Answer, str]:
        """The answer and the address it came from."""
        wire, sender = await self.exchange(packet, to)
        return testing.read(wire), sender

    async def exchange(self, packet: bytes, to: tuple[str, int]) -> tuple[bytes, str]:
        """The same, not decoded."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            await loop.sock_sendto(self.socket, packet, to)
            wire, sender = await loop.sock_recvfrom(self.socket, 65535)
        return wire, sender[0]

    async def next(self) -> bytes:
        """The next answer."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65535)

    async def id(self) -> int:
        """The id of the next answer."""
        wire = await self.next()
        return wire[0] << 8 | wire[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Tcp:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> bytes:
        """The next message; empty if the server has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
                return await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    async def answers(self, count: int) -> dict[int, Answer]:
        """So many answers by their ids, in the order they came."""
        wires = [await self.receive() for _ in range(count)]
        return {wire[0] << 8 | wire[1]: testing.read(wire) for wire in wires}

    async def closed(self) -> bool:
        """Whether the server says no more; False if it still talks."""
        return not await self.receive()


@asynccontextmanager
async def connected(server: Server, host: str = "127.0.0.1") -> AsyncIterator[Tcp]:
    """A connection to a server at one of its addresses, until the block ends."""
    reader, writer = await asyncio.open_connection(host, server.port)
    try:
        yield Tcp(reader, writer)
    finally:
        writer.transport.abort()
        # The connection is gone only when the loop has seen to it.
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for is the server's own state
            await asyncio.sleep(0.005)
