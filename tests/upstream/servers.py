"""Small DNS servers on loopback that behave, or misbehave, as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple, Self

Replies = bytes | list[bytes] | None
Behaviour = Callable[[bytes, str], Replies]
"""From a packet and its transport to what is sent back."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until this is true; TimeoutError after five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - no event tells of every condition
            await asyncio.sleep(0.001)


class Received(NamedTuple):
    """One question as it arrived."""

    packet: bytes
    port: int
    transport: str


def question_end(packet: bytes) -> int:
    """Where the question section of a packet ends."""
    at = 12
    while packet[at]:
        at += 1 + packet[at]
    return at + 5


def reply(
    packet: bytes, address: str = "192.0.2.1", *, rcode: int = 0, truncated: bool = False, empty: bool = False
) -> bytes:
    """A reply with one address record, or with none."""
    empty = empty or truncated or rcode != 0
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    header = packet[:2] + flags.to_bytes(2, "big") + b"\0\1" + (b"\0\0" if empty else b"\0\1") + bytes(4)
    record = b"" if empty else b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + socket.inet_aton(address)
    return header + packet[12 : question_end(packet)] + record


class Server:
    """A DNS server on one port, for UDP and TCP (TLS with a context); ``asked`` holds what arrived."""

    def __init__(self, behave: Behaviour | None = None, *, context: ssl.SSLContext | None = None) -> None:
        self.behave: Behaviour = behave or (lambda packet, transport: reply(packet))
        self.context = context
        self.asked: list[Received] = []
        self.sources: set[str] = set()
        """Addresses that asked."""
        self.connections = 0
        self.hang_up_after: int | None = None
        """Replies on a stream after which the server closes it."""
        self.delay = 0.0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        while True:
            self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context)
            self.port = self._tcp.sockets[0].getsockname()[1]
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                self.udp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self._tcp.close()
                self.port = 0
        loop.add_reader(self.udp, self._readable)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.udp)
        self.udp.close()
        self._tcp.close()
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, client = self.udp.recvfrom(65535)
                self.asked.append(Received(packet, client[1], "udp"))
                self.sources.add(client[0])
                asyncio.get_running_loop().call_later(self.delay, self._send, self._behave(packet, "udp"), client)

    def _send(self, replies: list[bytes], client: tuple[str, int]) -> None:
        for packet in replies:
            with contextlib.suppress(OSError):
                self.udp.sendto(packet, client)

    def _behave(self, packet: bytes, transport: str) -> list[bytes]:
        replies = self.behave(packet, transport)
        return [] if replies is None else [replies] if isinstance(replies, bytes) else replies

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        source, port = writer.get_extra_info("peername")[:2]
        self.sources.add(source)
        served = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while self.hang_up_after is None or served < self.hang_up_after:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                self.asked.append(Received(packet, port, "tcp"))
                if self.delay:
                    await asyncio.sleep(self.delay)
                for answer in self._behave(packet, "tcp"):
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                served += 1
            await writer.drain()
        writer.close()
        self._writers.discard(writer)
