"""Serve a Corefile in memory or on a free port, and ask it: for tests of plugins, ours and yours.

async with testing.serving("example.org { hosts { 192.0.2.1 a.example.org } }") as dns:
    answer = await dns.ask("a.example.org", "A")
    assert answer.answer == ["a.example.org. 3600 A 192.0.2.1"]
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydnsk8s import chain, clock, codes, corefile, names, rdata
from pydnsk8s.configuration import configure
from pydnsk8s.corefile import Corefile
from pydnsk8s.listen.port import Port
from pydnsk8s.message import Client, Edns, Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock
from pydnsk8s.server import Server
from pydnsk8s.wire import forwarded, query

_FLAGS = {
    "qr": codes.QR,
    "aa": codes.AA,
    "tc": codes.TC,
    "rd": codes.RD,
    "ra": codes.RA,
    "ad": codes.AD,
    "cd": codes.CD,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as the client received it."""

    rcode: str
    """Its mnemonic, such as ``NXDOMAIN``."""
    flags: frozenset[str]
    """Of qr, aa, tc, rd, ra, ad, cd those that are set."""
    answer: list[str]
    """Records as ``name ttl TYPE data``."""
    authority: list[str]
    additional: list[str]
    options: tuple[tuple[int, bytes], ...]
    """EDNS options."""
    edns: bool
    wire: bytes
    replayed: bool = False
    """Whether it came from the gate."""


def read(wire: bytes, *, replayed: bool = False) -> Answer:
    """Take a reply's bytes apart; FormError if they do not hold together."""
    header = wire[2] << 8 | wire[3]
    flags = frozenset(flag for flag, bit in _FLAGS.items() if header & bit)
    if len(wire) == 12:
        # A header alone is what a packet that could not be read gets.
        return Answer(codes.rcode_name(header & 15), flags, [], [], [], (), edns=False, wire=wire, replayed=replayed)
    reply = forwarded(wire)
    return Answer(
        codes.rcode_name(reply.rcode),
        flags,
        [text(record) for record in reply.answer],
        [text(record) for record in reply.authority],
        [text(record) for record in reply.additional],
        reply.found.options,
        bool(reply.found.opt_at),
        wire,
        replayed,
    )


def text(record: Record) -> str:
    """A record as ``name ttl TYPE data``; other classes than IN are named before the type."""
    klass = "" if record.klass == codes.IN else f"{codes.class_name(record.klass)} "
    data = rdata.text(record.type, record.data, record.klass)
    return f"{names.text(record.name)} {record.ttl} {klass}{codes.type_name(record.type)} {data}"


def record(line: str) -> Record:
    """The record that ``name ttl TYPE data`` stands for; ValueError if it does not."""
    owner, ttl, type, *data = line.split(" ", 3)
    number = codes.parse_type(type)
    return Record(names.parse(owner), number, int(ttl), rdata.parse(number, data[0] if data else ""))


def block(text: str) -> ServerBlock:
    """The first server block of a Corefile, set up but not started: for asking one plugin alone."""
    return configure(corefile.parse(text, known=chain.known())).blocks[0]


class Dns:
    """A configuration that answers in memory: packets through gate, chain and back, no sockets."""

    def __init__(self, ports: dict[tuple[str, int], Port], plugins: tuple[Plugin, ...]) -> None:
        self.ports = ports
        self.plugins = plugins

    async def ask(
        self,
        name: str,
        type: str = "A",
        *,
        klass: str = "IN",
        client: str = "127.0.0.1",
        tcp: bool = False,
        edns: Edns | None = None,
        flags: int = codes.RD,
        at: tuple[str, int] | None = None,
    ) -> Answer:
        """Ask one question; TimeoutError if the server chooses to send nothing."""
        wire = query(
            names.parse_keeping_case(name),
            codes.parse_type(type),
            klass=codes.parse_class(klass),
            id=4711,
            flags=flags,
            edns=edns,
        )
        return await self.send(wire, client=client, tcp=tcp, at=at)

    async def send(
        self, packet: bytes, *, client: str = "127.0.0.1", tcp: bool = False, at: tuple[str, int] | None = None
    ) -> Answer:
        """Hand a packet in as a socket would; ``at`` is the address asked, the first one if left out."""
        port = self.ports[at] if at is not None else next(iter(self.ports.values()))
        address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
        asker = Client(address, 40000, "tcp" if tcp else "udp")
        gate = port.gate(asker.transport, asker.family)
        wire = gate.look(packet, (client, 40000), clock.now())
        replayed = wire is not None
        if wire is None:
            wire = await port.answer(packet, asker, gate, clock.now())
        if wire is None:
            raise TimeoutError("the server sent nothing")
        return read(wire, replayed=replayed)

    async def transfer(self, zone: str, serial: int | None = None, *, client: str = "127.0.0.1") -> list[Answer]:
        """Ask for a whole zone over TCP, or with the serial of a copy for what is newer; all messages of the answer."""
        packet = transfer_query(zone, serial)
        address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
        asker = Client(address, 40000, "tcp")
        port = next(iter(self.ports.values()))
        messages: list[bytes] = []

        async def send(message: bytes) -> bool:
            messages.append(message)
            return True

        last = await port.answer(packet, asker, port.gate("tcp", asker.family), clock.now(), send)
        return [read(message) for message in (*messages, last or b"")]


def transfer_query(zone: str, serial: int | None = None) -> bytes:
    """The bytes of an AXFR query, or with a serial of an IXFR query."""
    name = names.parse_keeping_case(zone)
    if serial is None:
        return query(name, codes.AXFR, id=4711, flags=0)
    # RFC 1995 section 3: the client's version comes as an SOA record in the authority section.
    data = rdata.soa(names.ROOT, names.ROOT, serial, timers=(0, 0, 0, 0))
    held = b"\xc0\x0c" + struct.pack(">HHIH", codes.SOA, codes.IN, 0, len(data)) + data
    asked = query(name, codes.IXFR, id=4711, flags=0)
    return asked[:8] + b"\0\1" + asked[10:] + held


@asynccontextmanager
async def serving(text: str, *, port: int = 53) -> AsyncIterator[Dns]:
    """Serve a Corefile in memory until the block ends."""
    configuration = configure(corefile.parse(text, known=chain.known()), port=port)
    started: list[Plugin] = []
    try:
        for plugin in configuration.plugins:
            await plugin.start()
            started.append(plugin)
        yield Dns({address: Port(router) for address, router in configuration.routers.items()}, configuration.plugins)
    finally:
        for plugin in started:
            await plugin.stop()


@asynccontextmanager
async def listening(text: str) -> AsyncIterator[Server]:
    """Serve a Corefile on a free port of 127.0.0.1, whatever ports it names; ``server.port`` tells which."""
    async with Server(lambda known: on_loopback(corefile.parse(text, known=known)), port=0) as server:
        yield server


def on_loopback(read: Corefile) -> Corefile:
    """The same Corefile with every server block on a free port of 127.0.0.1."""
    bind = corefile.parse(". {\n bind 127.0.0.1\n}").blocks[0].directives
    return dataclasses.replace(
        read,
        blocks=tuple(
            dataclasses.replace(
                block,
                keys=tuple(dataclasses.replace(key, port=0) for key in block.keys),
                directives=(*bind, *(held for held in block.directives if held.name != "bind")),
            )
            for block in read.blocks
        ),
    )


class Clock:
    """A clock that stands still until it is moved: for the answers' ages and the loop's timers alike."""

    def __init__(self) -> None:
        # A whole number, so that whole seconds stay whole: a TTL must not differ by a rounding.
        self._start = float(math.ceil(clock.now()))
        self.ahead = 0.0
        """Seconds it was moved so far."""

    def now(self) -> float:
        """Seconds as ``clock.now()`` gives them."""
        return self._start + self.ahead

    async def advance(self, seconds: float) -> None:
        """Move on, and let everything run that is due by then; what has just begun begins before."""
        await asyncio.sleep(0)
        self.ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def stopped_clock() -> AsyncIterator[Clock]:
    """Put a clock in place that only moves when told; the running loop's timers follow it."""
    loop = asyncio.get_running_loop()
    real, real_time = clock.now, loop.time
    standing = Clock()
    begun = real_time()
    clock.now = standing.now
    loop.time = lambda: begun + standing.ahead  # type: ignore[method-assign]
    try:
        yield standing
    finally:
        clock.now = real
        loop.time = real_time  # type: ignore[method-assign]


async def honest(
    rest: Rest, questions: Iterable[Query], change: Callable[[], object | Awaitable[object]]
) -> list[Query]:
    """Ask, change the data, ask again: the questions whose first reply would still be kept but now lies.

    A plugin that holds data is honest when this list is empty whatever the change. Serials of SOA records in negative
    replies may lag: they tell clients nothing.
    """
    asked = [(question, await rest(question)) for question in questions]
    done = change()
    if isinstance(done, Awaitable):
        await done
    return [
        question for question, before in asked if before.keep.alive and _said(before) != _said(await rest(question))
    ]


def _said(reply: Reply) -> tuple[object, ...]:
    authority = [
        record._replace(data=record.data[:-20]) if record.type == codes.SOA else record for record in reply.authority
    ]
    return (
        reply.rcode,
        reply.authoritative,
        *(tuple(sorted(section)) for section in (reply.answer, authority, reply.additional)),
    )
