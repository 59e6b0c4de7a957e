"""Queries over TCP: many on one connection, answered in any order, and no client can hold the server up.

Rules (RFC 7766): messages are length-prefixed and pipelined (section 6.2.1.1), replies come in any order (section 7);
idle and slow connections are closed (section 6.2.3), and when there are too many, the one silent longest goes first.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from pydnsk8s import clock
from pydnsk8s.gate import Sender, packed
from pydnsk8s.listen.begin import begin
from pydnsk8s.listen.port import Port, Waiting
from pydnsk8s.message import Client
from pydnsk8s.plugin import Timeouts

_MOST_CONNECTIONS = 4096
_MOST_PENDING = 128  # queries of one connection in work; reading pauses at more
_MOST_A_TURN = 64  # of its queries answered before others have their turn: replies in hand are bounded, too
_SWEEP = 0.5  # seconds between looks at who has been silent for too long
_BACKLOG = 1024


class Tcp:
    """One listening TCP socket of a port, and its connections."""

    def __init__(self, port: Port, bound: socket.socket, timeouts: Timeouts) -> None:
        self.port = port
        self.socket = bound
        self.timeouts = timeouts
        self.connections: dict[Connection, None] = {}
        """Open connections; the one that spoke least recently comes first."""
        self.turned_away = 0
        """Connections closed to make room for others."""
        self.gate = port.gate("tcp", 1 if bound.family == socket.AF_INET else 2)
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """Queries in work."""
        return sum(connection.pending for connection in self.connections)

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await self._loop.create_server(lambda: Connection(self), sock=self.socket, backlog=_BACKLOG)
        self._sweep()

    def stop(self) -> None:
        """Accept no more; what is open goes on."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def close(self) -> None:
        """End all connections."""
        self.stop()
        self.socket.close()
        for connection in tuple(self.connections):
            connection.end()

    def welcome(self, connection: Connection) -> None:
        """Make room for a new connection."""
        self.connections[connection] = None
        if len(self.connections) > _MOST_CONNECTIONS:
            self.turned_away += 1
            next(iter(self.connections)).end(abruptly=True)

    def spoke(self, connection: Connection) -> None:
        """Put a connection that has just asked something at the end of those to be turned away."""
        del self.connections[connection]
        self.connections[connection] = None

    def _sweep(self) -> None:
        now = clock.now()
        for connection in [held for held in self.connections if held.overdue(now)]:
            connection.end(abruptly=True)
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: Tcp) -> None:
        self.listener = listener
        self.pending = 0
        """Its queries in work."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answered = 0
        self._taking = self._more = False
        self._since = clock.now()  # of the last complete query, or of the start of an incomplete one
        self._blocked_since: float | None = None
        self._room = asyncio.Event()  # for the next message of a reply in several
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer: Sender = transport.get_extra_info("peername") or ("0.0.0.0", 0)
        host, number = (transport.get_extra_info("sockname") or ("0.0.0.0", 0))[:2]
        self._client = Client(packed(self._peer[0]), self._peer[1], "tcp", packed(host), number)
        self.listener.welcome(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.connections.pop(self, None)
        self._transport = None
        self._room.set()

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._since = clock.now()
        self._buffer += data
        self._take()

    def eof_received(self) -> bool:
        # The client may close its side and still wait for answers.
        self._closing = True
        self._end_if_done()
        return True

    def pause_writing(self) -> None:
        self._blocked_since = clock.now()
        self._room.clear()
        self._pause()

    def resume_writing(self) -> None:
        self._blocked_since = None
        self._room.set()
        self._take()

    def overdue(self, now: float) -> bool:
        """Whether the client has been silent, or has not read its replies, for too long."""
        limits = self.listener.timeouts
        if self._blocked_since is not None:
            return now - self._blocked_since > limits.write
        if self.pending:
            return False
        return now - self._since > (limits.read if self._buffer else limits.idle)

    def end(self, *, abruptly: bool = False) -> None:
        """Close the connection, what is written first unless abruptly."""
        self.listener.connections.pop(self, None)
        if self._transport is not None:
            if abruptly:
                self._transport.abort()
            else:
                self._transport.close()

    def _take(self) -> None:
        """Answer the complete messages in the buffer."""
        if self._taking:
            return  # a question answered at once has made room: the loop that began it goes on by itself
        self._taking = True
        try:
            more = self._take_some()
        finally:
            self._taking = False
        if more and not self._more:
            self.listener._loop.call_soon(self._go_on)  # noqa: SLF001 - one pair of classes
        self._more = more
        stopped = more or self.pending >= _MOST_PENDING or self._blocked_since is not None
        self._pause() if stopped else self._resume()
        self._end_if_done()

    def _go_on(self) -> None:
        self._more = False
        if self._transport is not None:
            self._take()

    def _take_some(self) -> bool:
        """Answer as many as may have their turn at a time; whether that was not enough."""
        buffer, gate, at = self._buffer, self.listener.gate, 0
        replies: list[bytes] = []
        more = False
        now = clock.now()
        for turn in range(_MOST_A_TURN + 1):
            if self.pending >= _MOST_PENDING or self._blocked_since is not None or self._enough():
                break
            if len(buffer) < at + 2 or len(buffer) < at + 2 + (length := buffer[at] << 8 | buffer[at + 1]):
                break
            if turn == _MOST_A_TURN:
                more = True
                break
            packet = bytes(buffer[at + 2 : at + 2 + length])
            at += 2 + length
            self._answered += 1
            reply: bytes | Waiting | None = gate.look(packet, self._peer, now)
            if reply is not None:
                gate.replays += 1
            else:
                reply = self.listener.port.respond(packet, self._client, gate, now)
            if isinstance(reply, bytes):
                replies.append(len(reply).to_bytes(2, "big") + reply)
            elif reply is not None:
                begin(self._answer(reply), self.listener._loop)  # noqa: SLF001 - one pair of classes
        if at:
            del buffer[:at]
            self._since = now
            if self in self.listener.connections:
                self.listener.spoke(self)
        if replies:
            self._write(b"".join(replies))
        return more

    async def _answer(self, waiting: Waiting) -> None:
        self.pending += 1
        try:
            reply = await self.listener.port.wait(waiting, self._send)
        finally:
            self.pending -= 1
        if reply is not None:
            self._write(len(reply).to_bytes(2, "big") + reply)
        if self.pending == _MOST_PENDING - 1:
            self._take()
        self._end_if_done()

    async def _send(self, message: bytes) -> bool:
        """Write a message of several; True when there is room for the next one, False if the client has gone."""
        self._write(len(message).to_bytes(2, "big") + message)
        await asyncio.sleep(0)  # the other clients, and the other questions of this one, have their turn
        while self._transport is not None and self._blocked_since is not None:
            await self._room.wait()
        return self._transport is not None and not self._transport.is_closing()

    def _enough(self) -> bool:
        most = self.listener.timeouts.queries
        if most >= 0 and self._answered >= most:
            self._closing = True
        return self._closing and most >= 0 and self._answered >= most

    def _end_if_done(self) -> None:
        if self._closing and not (self.pending or self._more):
            self.end()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _pause(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()


def bind(host: str, number: int, *, shared: bool = False) -> list[socket.socket]:
    """Listening TCP sockets for an address, or for all of them if the host is empty; OSError if that cannot be.

    ``shared`` if some of the addresses are those of other sockets of ours.
    """
    hosts = [host] if host else ["0.0.0.0", *(["::"] if socket.has_ipv6 else [])]
    sockets: list[socket.socket] = []
    try:
        for each in hosts:
            family = socket.AF_INET6 if ":" in each else socket.AF_INET
            try:
                opened = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                if sockets:
                    break  # a kernel without IPv6
                raise
            sockets.append(opened)
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            number = number or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            opened.bind(socket.getaddrinfo(each, number, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4])
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    return sockets
