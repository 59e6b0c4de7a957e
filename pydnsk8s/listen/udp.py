"""Queries over UDP: one socket an address, drained in batches, replies from the address that was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pydnsk8s import clock
from pydnsk8s.gate import Sender, packed
from pydnsk8s.listen.backlog import Backlog, dropped, widen
from pydnsk8s.listen.pending import Held, Pending
from pydnsk8s.listen.port import Port, Waiting
from pydnsk8s.listen.relays import Relayed, Relays, SendTo
from pydnsk8s.message import Client, Reply

_DRAIN = 64  # packets a wake, so that TCP, timers and upstreams have their turn
_PACKET = 4096  # octets; longer queries are cut off and then malformed
_WARY = 10.0  # seconds after queries were given up for want of time
_HITS = 16  # replays in one wake: with as many to answer, others have to stand back then
_MISSES = 2  # of the others that are taken on in a wake: each costs as much as some replays
_MOST_PENDING = 10_000  # queries that wait for a plugin; for one more the oldest is given up
_IP_PKTINFO = 8  # from linux/in.h; the socket module has no name for it
_TELL: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
_PKTINFO4 = struct.Struct("@i4s4s")  # struct in_pktinfo: interface, the address we reply from, the address asked
_PKTINFO6 = struct.Struct("@16si")  # struct in6_pktinfo

T = TypeVar("T")
Ancillary = list[tuple[int, int, bytes]]


class Udp:
    """One UDP socket of a port."""

    def __init__(self, port: Port, bound: socket.socket) -> None:
        self.port = port
        self.socket = bound
        server = port.router.label
        self._backlog = Backlog(bound, server)
        self._waiting: Held = {}
        self._given_up, self._unsent = dropped(server, "pending"), dropped(server, "response")
        self._stood_back = dropped(server, "miss")
        self._hits = self._misses = 0
        """In the last wake, and in this one."""
        host, self._number = bound.getsockname()[:2]
        self._local = packed(host)
        self._gate = port.gate("udp", 1 if bound.family == socket.AF_INET else 2)
        self._loop = asyncio.get_running_loop()
        self._wild = not any(self._local)
        self._outbox: list[tuple[SendTo, bytes, Sender]] = []
        self._relays = Relays(port, self._waiting, self._send_soon, self._leave)

    @property
    def pending(self) -> int:
        """Queries that wait for their plugins."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self.socket, self._drain_wild if self._wild else self._drain)

    def forget(self) -> None:
        """Forget how the former configuration passed packets on."""
        self._relays.forget()

    def stop(self) -> None:
        """Read no more; replies on their way are still sent."""
        self._loop.remove_reader(self.socket)

    def settle(self) -> None:
        """Hand in the counts that the kernel keeps for us."""
        self._backlog.settle()

    def close(self) -> None:
        """Close the socket; nobody is left to take the replies of those who still wait."""
        self.stop()
        self.socket.close()
        for pending in tuple(self._waiting):
            pending.give_up()

    def _drain(self) -> None:
        arrived = clock.now()
        came, emptied = _read(self.socket.recvfrom, _PACKET)
        send, look = self.socket.sendto, self._gate.look
        outbox, replays = self._outbox, 0
        for packet, sender in came:
            reply = look(packet, sender, arrived)
            if reply is None:
                self._ask(packet, sender, self._local, send, arrived)
            else:
                outbox.append((send, reply, sender))
                replays += 1
        self._finish(replays, arrived, emptied=emptied)

    def _drain_wild(self) -> None:
        """As ``_drain`` on a socket bound to all addresses, which has to be told what to reply from."""
        arrived = clock.now()
        came, emptied = _read(self.socket.recvmsg, _PACKET, 64)
        send, look = self.socket.sendmsg, self._gate.look
        outbox, replays = self._outbox, 0
        for packet, ancillary, _, sender in came:
            reply = look(packet, sender, arrived)
            asked, back = _turned(ancillary)
            if reply is None:
                self._ask(packet, sender, asked, _sender_from(send, back), arrived)
            else:
                outbox.append((_sender_from(send, back), reply, sender))
                replays += 1
        self._finish(replays, arrived, emptied=emptied)

    def _finish(self, replays: int, arrived: float, *, emptied: bool) -> None:
        """End a wake: send what it came to, measure, and see to what is still waiting."""
        if self._outbox:
            self._send_all()
        self._hits, self._misses = replays, 0
        if replays:
            self._gate.replays += replays
            self._gate.pace = (clock.now() - arrived) / replays
        if emptied:
            self._backlog.emptied(arrived)
        else:
            self._backlog.stands(arrived)

    def _ask(self, packet: bytes, sender: Sender, local: bytes, send: SendTo, arrived: float) -> None:
        """Answer what the gate does not know: mostly at once."""
        if arrived - self._backlog.cut_at < _WARY and self._stands_back():
            return
        if self._relays.pass_on(packet, sender, local, send, arrived):
            if len(self._waiting) > _MOST_PENDING:
                self._make_room()
        else:
            self._see_to(self._respond(packet, sender, local, arrived), sender, send)

    def _respond(self, packet: bytes, sender: Sender, local: bytes, arrived: float) -> bytes | Waiting | None:
        """What the chain says to a packet."""
        client = Client(packed(sender[0]), sender[1], "udp", local, self._number)
        return self.port.respond(packet, client, self._gate, arrived)

    def _see_to(self, reply: bytes | Waiting | None, sender: Sender, send: SendTo) -> None:
        """Send a reply, or begin to wait for it."""
        if isinstance(reply, bytes):
            self._send_soon(send, reply, sender)
        elif reply is not None:
            self._pending(reply, sender, send).begin()

    def _pending(self, waiting: Waiting, sender: Sender, send: SendTo) -> Pending:
        pending = Pending(waiting, self._waiting, partial(self._answer, waiting, sender, send), self._loop)
        if len(self._waiting) > _MOST_PENDING:
            self._make_room()
        return pending

    def _leave(self, relayed: Relayed, came: Any) -> None:
        """Have the chain go on with what came for a packet that was passed on."""
        sender, send = relayed.sender, relayed.send
        reply = self._respond(relayed.packet, sender, relayed.local, relayed.begun)
        if isinstance(reply, Waiting) and reply.later.begin == relayed.route.begins:
            self._pending(reply, sender, send).take(relayed.take(reply.query, reply.later.behind), came)
        else:
            # Meanwhile the chain has an answer of its own, or asks somebody else.
            relayed.end(came)
            self._see_to(reply, sender, send)

    def _stands_back(self) -> bool:
        """Whether this query is given up for others.

        A flood of names that nobody knows is not to drown those who ask for what is known.
        """
        self._misses += 1
        if self._misses <= _MISSES or self._hits < _HITS:
            return False
        self._stood_back.add()
        return True

    def _answer(self, waiting: Waiting, sender: Sender, send: SendTo, reply: Reply) -> None:
        """Answer what had to wait."""
        wire = self.port.complete(waiting, reply)
        if wire is not None:
            self._send_soon(send, wire, sender)
            self._relays.learn(waiting, reply, wire)

    def _send_soon(self, send: SendTo, reply: bytes, sender: Sender) -> None:
        """Send a reply before the loop waits again: one wake-up of the other side serves all that leave together."""
        if not self._outbox:
            self._loop.call_soon(self._send_all)
        self._outbox.append((send, reply, sender))

    def _make_room(self) -> None:
        """Give up who has waited longest: that one is the least likely to be waited for by a client."""
        next(iter(self._waiting)).give_up()
        self._given_up.add()

    def _send_all(self) -> None:
        """Send everything at once: one wake-up of the other side serves it all."""
        outbox = self._outbox
        for send, reply, sender in outbox:
            try:
                send(reply, sender)
            except OSError:
                # The client's address cannot be reached; the next packet is another's.
                self._unsent.add()
        outbox.clear()


def _read(receive: Callable[..., T], *sizes: int) -> tuple[list[T], bool]:
    """What waits in a socket, as much as is worked off in one wake, and whether that was all.

    Read in one go: the kernel's work and ours, packet by packet in turns, would push each other out of the caches.
    """
    came: list[T] = []
    try:
        for _ in range(_DRAIN):
            came.append(receive(*sizes))  # noqa: PERF401 - what came before there was no more counts
    except OSError:
        return came, True
    return came, False


def _turned(ancillary: Ancillary) -> tuple[bytes, Ancillary]:
    """The address asked, and what makes the kernel reply from it."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            asked = data[8:12]
            return asked, [(level, kind, _PKTINFO4.pack(0, asked, b"\0\0\0\0"))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return data[:16], [(level, kind, data)]
    return b"\0\0\0\0", []


def _sender_from(send: Callable[..., int], back: Ancillary) -> SendTo:
    return lambda reply, sender: send((reply,), back, 0, sender)


def bind(host: str, number: int, *, shared: bool = False) -> list[socket.socket]:
    """UDP sockets for an address, or for all of them if the host is empty; OSError if that cannot be.

    ``shared`` if some of the addresses are those of other sockets of ours.
    """
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_open(family, host, number, shared)]
    sockets = [_open(socket.AF_INET, "0.0.0.0", number, shared)]
    if socket.has_ipv6:
        try:
            sockets.append(_open(socket.AF_INET6, "::", number or sockets[0].getsockname()[1], shared))
        except OSError:
            # A kernel without IPv6 says so only now.
            pass
    return sockets


def _open(family: int, host: str, number: int, shared: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        widen(opened)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        info = socket.getaddrinfo(host, number, family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        opened.bind(info[0][4])
        if not any(packed(opened.getsockname()[0])):
            # Bound to all addresses, it has to be told which one was asked.
            opened.setsockopt(*_TELL[family], 1)
    except OSError:
        opened.close()
        raise
    return opened
