"""Asking over UDP, from many source ports that change all the time (RFC 5452 section 9.2)."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable

from pydnsk8s import clock
from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.outstanding import STOPPING, Message, Outstanding, Patience, Unanswered, Wake, awaited, reason
from pydnsk8s.upstream.terms import Reuse, Terms

_LARGEST = 65535  # octets
_RUN = 32  # questions sent together from one port: their replies are read together, too
_MOST_A_WAKE = 64  # packets, so that a flood on one port does not hold up the others


class Port:
    """A socket connected to the upstream, on a source port of its own that the kernel picks at random.

    Being connected it takes packets from the upstream's address only, and learns when nobody listens there.
    """

    def __init__(self, opened: socket.socket, patience: Patience, outbox: Outbox, gone: Callable[[Port], None]) -> None:
        self._socket = opened
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._outstanding = Outstanding(patience, self._loop, self._emptied)
        self._retired = False
        self._gone = gone
        self.uses = Udp.USES
        """How many more questions may leave by this port."""
        self.opened = clock.now()
        self._unsent: list[bytes] = []
        self._loop.add_reader(opened, self._readable)

    def begin(self, message: Message, seconds: float, wake: Wake) -> None:
        """Send the message; ``wake`` gets the reply, or Unanswered."""
        self.uses -= 1
        if not self._unsent:
            self._outbox.put(self)
        self._unsent.append(self._outstanding.add(message, seconds, wake))

    def send(self) -> None:
        """Hand the kernel all that waits to be sent."""
        packets, self._unsent = self._unsent, []
        send = self._socket.send
        try:
            for packet in packets:
                send(packet)
        except OSError as error:
            self._fail(reason(error))

    def retire(self) -> None:
        """Close as soon as nothing is outstanding."""
        self._retired = True
        if not self._outstanding:
            self.close()

    def close(self) -> None:
        """Close now; whoever still waits is told."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._gone(self)
        self._outstanding.end(Unanswered(STOPPING))

    def _emptied(self) -> None:
        if self._retired:
            self.close()

    def _readable(self) -> None:
        came: list[bytes] = []
        failure = ""
        receive = self._socket.recv
        try:
            # Read in one go, but no more than can be replies: the rest is seen to in the next wake.
            for _ in range(min(len(self._outstanding) or 1, _MOST_A_WAKE)):
                came.append(receive(_LARGEST))  # noqa: PERF401 - what came before a failure counts
        except BlockingIOError:
            pass
        except OSError as error:
            failure = reason(error)
        settle = self._outstanding.settle
        for packet in came:
            settle(packet)
        if failure:
            self._fail(failure)

    def _fail(self, why: str) -> None:
        # Linux reports what ICMP said (RFC 1122 section 4.1.3.3) for the socket, not for one packet.
        self.uses = 0
        self._outstanding.fail(Unanswered(why))
        self.retire()


class Outbox:
    """Ports that send together before the loop waits again: one wake-up of the other side serves all packets."""

    def __init__(self) -> None:
        self.ports: list[Port] = []
        """Those with something to send."""

    def put(self, port: Port) -> None:
        """Have a port send, too."""
        if not self.ports:
            asyncio.get_running_loop().call_soon(self._send)
        self.ports.append(port)

    def _send(self) -> None:
        ports, self.ports = self.ports, []
        for port in ports:
            port.send()


class Udp:
    """All the ports from which one upstream is asked."""

    PORTS = 16
    """Open at a time for new questions."""
    USES = 512
    """Questions from one port before another takes its place."""

    def __init__(self, address: Address, terms: Terms, patience: Patience, reuse: Reuse) -> None:
        self._address = address
        self._terms = terms
        self._patience = patience
        self._reuse = reuse
        self._seats: list[Port | None] = [None] * self.PORTS
        self._open: set[Port] = set()
        self._outbox = Outbox()
        self._port: Port | None = None
        self._left = 0
        """From where the last question left, and how many more may now."""
        self._closed = False

    def ask(self, message: Message, seconds: float) -> asyncio.Future[bytes]:
        """Send the message from one of the ports; the future gets the reply, or Unanswered."""
        answer, wake = awaited(asyncio.get_running_loop())
        self.begin(message, seconds, wake)
        return answer

    def begin(self, message: Message, seconds: float, wake: Wake) -> None:
        """The same, but ``wake`` gets the reply, or Unanswered; never before this has returned."""
        port = self._port
        if port is None or not self._left or port.uses <= 0 or not self._outbox.ports:
            if self._closed:
                asyncio.get_running_loop().call_soon(wake, Unanswered(STOPPING))
                return
            try:
                port = self._next()
            except OSError as error:
                asyncio.get_running_loop().call_soon(wake, Unanswered(reason(error)))
                return
        else:
            self._reuse.hits.value += 1
        self._left -= 1
        port.begin(message, seconds, wake)

    def _next(self) -> Port:
        """The port for the next few questions that leave together."""
        # Which of the open ports is used needs no secrecy: their numbers have it.
        seat = int(random.random() * self.PORTS)
        port = self._seats[seat]
        if port is None or port.uses <= 0 or clock.now() >= port.opened + self._terms.expire:
            self._reuse.misses.add(1)
            port = self._replace(seat)
        else:
            self._reuse.hits.add(1)
        self._port, self._left = port, _RUN
        return port

    def _replace(self, seat: int) -> Port:
        old = self._seats[seat]
        if old is not None:
            self._seats[seat] = None
            old.retire()
        opened = socket.socket(self._address.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if self._terms.source:
                opened.bind((self._terms.source, 0))
            opened.connect(self._address.socket_address())
        except OSError:
            opened.close()
            raise
        port = self._seats[seat] = Port(opened, self._patience, self._outbox, self._open.discard)
        self._open.add(port)
        return port

    def close(self) -> None:
        """Close every port; whoever still waits is told, and whoever asks again."""
        self._closed = True
        self._port = None
        for port in tuple(self._open):
            port.close()
        self._seats = [None] * self.PORTS
