"""What is open at one address: its sockets for UDP and TCP, beside those of other addresses on the same port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import fields

from pydnsk8s import background
from pydnsk8s.listen import tcp, udp
from pydnsk8s.listen.port import Port
from pydnsk8s.plugin import Timeouts
from pydnsk8s.router import Router

_DRAIN = 5.0  # seconds that queries in work have at the end, as in CoreDNS


class Open:
    """The sockets of one address; ``beside`` are those of other addresses that include it, or that it includes."""

    def __init__(self, host: str, number: int, router: Router, beside: Sequence[Open] = ()) -> None:
        self.port = Port(router)
        for other in beside:
            other.share()
        shared = bool(beside)
        streams = datagrams = None
        for _ in range(16 if number == 0 else 1):
            streams = tcp.bind(host, number, shared=shared)
            try:
                datagrams = udp.bind(host, streams[0].getsockname()[1], shared=shared)
                break
            except OSError:
                for stream in streams:
                    stream.close()
                if number:
                    raise
        if streams is None or datagrams is None:
            raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")
        self.number: int = streams[0].getsockname()[1]
        """The port it really is."""
        self.tcp = [tcp.Tcp(self.port, stream, _timeouts(router)) for stream in streams]
        self.udp = [udp.Udp(self.port, datagram) for datagram in datagrams]
        self.listeners: list[tcp.Tcp | udp.Udp] = [*self.udp, *self.tcp]

    async def start(self) -> None:
        """Begin to read."""
        for datagrams in self.udp:
            datagrams.start()
        for streams in self.tcp:
            await streams.start()

    def swap(self, router: Router) -> None:
        """Answer from another configuration, and keep to its limits, from now on."""
        self.port.swap(router)
        for datagrams in self.udp:
            datagrams.forget()
        for streams in self.tcp:
            streams.timeouts = _timeouts(router)

    def share(self) -> None:
        """Let a socket of ours be bound beside these, to more addresses or fewer; the system prefers the closest.

        Not from the start, so that another process finds the port taken.
        """
        for listener in self.listeners:
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    @property
    def pending(self) -> int:
        """Queries in work."""
        return sum(listener.pending for listener in self.listeners)

    def settling(self) -> Iterator[None]:
        """Hand in all counts that are still held back, a few at a time."""
        for datagrams in self.udp:
            datagrams.settle()
        yield from self.port.settling()

    async def close(self, within: float = _DRAIN) -> None:
        """Read no more, let the queries in work finish, close."""
        for listener in self.listeners:
            listener.stop()
        await background.until(lambda: not self.pending, within)
        for datagrams in self.udp:
            datagrams.settle()
        self.port.forget()
        for listener in self.listeners:
            listener.close()


def _timeouts(router: Router) -> Timeouts:
    """The limits of connections, which may ask all blocks of an address: of each the last one set (as CoreDNS does)."""
    usual, limits = Timeouts(), Timeouts()
    for site in router.sites:
        for each in fields(Timeouts):
            limit = getattr(site.block.timeouts, each.name)
            if limit != getattr(usual, each.name):
                setattr(limits, each.name, limit)
    return limits
