"""A server block asked through one gate: what that makes by itself has to be what the chain says."""

from __future__ import annotations

from pydnsk8s import chain, clock, codes, corefile, names, testing
from pydnsk8s.configuration import configure
from pydnsk8s.gate import Gate
from pydnsk8s.listen.port import Port
from pydnsk8s.message import Client
from pydnsk8s.wire import query

HERE = ("192.0.2.1", 5353)
ASKER = Client(b"\xc0\0\2\1", 5353)


class Gated:
    """The blocks of a Corefile, asked through one gate that stays, or with none to speak of."""

    def __init__(self, text: str) -> None:
        self.balanced = "loadbalance" in text
        """Whether the order of addresses is drawn for each reply."""
        self.configuration = configure(corefile.parse(text, known=chain.known()))
        self.port = Port(next(iter(self.configuration.routers.values())))
        self.gate = self.port.gate("udp", 1)
        self.made = 0
        """Replies that the gate gave."""

    def ask(self, packet: bytes) -> bytes | None:
        """The reply by way of the gate; None if it has to be waited for."""
        reply = self.gate.look(packet, HERE, clock.now())
        self.made += reply is not None
        return reply or self._respond(packet, self.gate)

    def anew(self, packet: bytes) -> bytes | None:
        """The reply that the chain gives."""
        return self._respond(packet, Gate(entries=16))

    def _respond(self, packet: bytes, gate: Gate) -> bytes | None:
        reply = self.port.respond(packet, ASKER, gate, clock.now())
        return reply if isinstance(reply, bytes) else None

    def is_made(self, name: str, type: int = codes.A) -> bool:
        """Ask for a name; whether the gate made the reply, which then has to be the chain's."""
        packet, before = query(names.parse(name), type, id=7), self.made
        self.check(packet)
        return self.made > before

    def check_gate(self, packet: bytes) -> None:
        """Ask the gate alone; if it replies at all, that has to be the chain's reply."""
        made = self.gate.look(packet, HERE, clock.now())
        assert made is None or said(made) == said(self.anew(packet))

    def check(self, packet: bytes) -> None:
        """Ask; the reply has to be the chain's, if need be but for an order that is drawn for each."""
        asked, anew = self.ask(packet), self.anew(packet)
        assert said(asked) == said(anew)
        if asked is not None and anew is not None and not self.balanced:
            assert testing.read(asked).answer == testing.read(anew).answer


def said(reply: bytes | None) -> object:
    """A reply but for the order of its addresses, and for the serial in a denial, which tells clients nothing."""
    if reply is None:
        return None
    read = testing.read(reply)
    authority = [line.split()[:5] + line.split()[6:] for line in read.authority]
    return (
        read.rcode,
        read.flags,
        sorted(read.answer),
        authority,
        sorted(read.additional),
        reply[:2],
        read.edns and reply[-11:],
    )
