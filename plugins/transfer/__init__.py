"""transfer - lets secondaries copy whole zones, and tells them when a zone has changed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple, Self
from weakref import WeakSet

from pydnsk8s import codes, log, names
from pydnsk8s.abilities import Transferable
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.keep import Keep
from pydnsk8s.message import Client, Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, Turn
from pydnsk8s.upstream.address import Address, parse

from .notify import tell

_STREAMS = frozenset(("tcp", "tls", "quic"))
_OCTETS = 32_768  # of one message's records before compression, which then reaches back over all of it: 16 KiB
_MOST = 16  # transfers under way at once; each holds the zone as it was when it began
_LOG = log.plugin("transfer")


class Secondary(NamedTuple):
    """A server that may copy a zone and is told of its changes."""

    address: Address
    source: str
    """The address of ours that it is told from; empty for any."""

    @property
    def packed(self) -> bytes:
        """Its IP address."""
        return socket.inet_pton(self.address.family, self.address.host.partition("%")[0])


class Terms:
    """Who may copy a zone."""

    def __init__(self) -> None:
        self.anyone = False
        self.secondaries: list[Secondary] = []

    def admit(self, client: Client) -> bool:
        """Whether this client may."""
        return self.anyone or any(held.packed == client.address for held in self.secondaries)


class Transfer(Plugin):
    """Sends the zones of the plugins behind it, each as it was at one moment (RFC 5936)."""

    name = "transfer"

    def __init__(self, block: ServerBlock) -> None:
        self.terms: dict[bytes, Terms] = {}
        """By zone; that of the longest zone counts."""
        self._block = block
        self._sources: tuple[Transferable, ...] = ()
        self._under_way: WeakSet[Iterator[Reply]] = WeakSet()
        self._notifying: dict[tuple[bytes, Address], asyncio.Task[None]] = {}

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        transfer = block.find(cls) or cls(block)
        block.notify = transfer.notify
        anyone = False
        addresses: list[Address] = []
        sources: dict[socket.AddressFamily, str] = {}
        for option in directive.options:
            match option.words:
                case ["to", _, *_]:
                    addresses += [_address(option, word) for word in option.args if word != "*"]
                    anyone = anyone or "*" in option.args
                case ["source", address]:
                    family = socket.AF_INET if len(option.address(address)) == 4 else socket.AF_INET6
                    sources[family] = address
                case ["to" | "source", *_]:
                    raise option.arguments("to *|IP[:PORT]..." if option.name == "to" else "source IP")
                case _:
                    raise option.unknown("to", "source")
        if not (addresses or anyone):
            raise directive.error("transfer: to whom is missing", hint="as in: to 192.0.2.53, or: to * for anyone")
        for zone in directive.zones(directive.args) or block.zones:
            terms = transfer.terms.setdefault(zone, Terms())
            terms.anyone = terms.anyone or anyone
            terms.secondaries += [Secondary(each, sources.get(each.family, "")) for each in addresses]
        return transfer

    async def start(self) -> None:
        # They stand behind us in the chain and were set up later.
        self._sources = tuple(plugin for plugin in self._block.plugins if isinstance(plugin, Transferable))
        if not self._sources:
            _LOG.warning("no plugin in the block of %s has zones to transfer", self._block.label)

    async def stop(self) -> None:
        tasks = tuple(self._notifying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def at_once(self, query: Query) -> Turn:
        return WAIT if query.type in (codes.AXFR, codes.IXFR) else HAND_ON

    async def answer(self, query: Query, rest: Rest) -> Reply:
        if query.type not in (codes.AXFR, codes.IXFR) or query.opcode != codes.OPCODE_QUERY:
            return await rest(query)
        zone = names.closest(query.name, tuple(self.terms))
        if zone is None or query.klass != codes.IN:
            return await rest(query)
        # RFC 5936 section 4.2: there are no transfers over UDP. IXFR is refused there, too (as CoreDNS does).
        if query.client.transport not in _STREAMS or not self.terms[zone].admit(query.client):
            return Reply(codes.REFUSED, authoritative=False, plugin=self.name)
        for source in self._sources:
            records = source.transfer(query.name)
            if records is not None:
                return self._send(query, records)
        return await rest(query)

    def _send(self, query: Query, records: Iterator[Record]) -> Reply:
        soa = next(records, None)
        if soa is None:
            return self._fail("the zone is not known yet")
        if query.type == codes.IXFR:
            if query.serial is None:
                # RFC 1995 section 3: the client's SOA record belongs to the question.
                return Reply(codes.FORMERR, authoritative=False, plugin=self.name)
            if not _newer(_serial(soa), query.serial):
                # RFC 1995 section 2: a client that is up to date gets the SOA and nothing else.
                return Reply(answer=(soa,), plugin=self.name)
        if len(self._under_way) >= _MOST:
            return self._fail(f"{_MOST} transfers are under way already")
        # RFC 1995 section 4: a whole zone answers IXFR as well.
        messages = self._messages(query, soa, records)
        self._under_way.add(messages)
        return next(messages).with_(more=messages)

    def _fail(self, why: str) -> Reply:
        return Reply(codes.SERVFAIL, authoritative=False, plugin=self.name, error=why)

    def _messages(self, query: Query, soa: Record, records: Iterator[Record]) -> Iterator[Reply]:
        """The zone in messages; RFC 5936 section 2.2: the first begins with the SOA, the last ends with it."""
        held, octets, count = [soa], 0, 0
        for record in chain(records, (soa,)):
            size = len(record.name) + 10 + len(record.data)
            if octets + size > _OCTETS and held:
                yield Reply(answer=held, plugin=self.name)
                count += len(held)
                held, octets = [], 0
            held.append(record)
            octets += size
        yield Reply(answer=held, plugin=self.name)
        zone, serial = names.text(soa.name), _serial(soa)
        _LOG.info("sent %s with serial %d to %s: %d records", zone, serial, query.client.text, count + len(held))

    def notify(self, zone: bytes) -> None:
        """Tell the secondaries of a zone that it has changed (RFC 1996); those that do not reply are logged."""
        closest = names.closest(zone, tuple(self.terms))
        for secondary in self.terms[closest].secondaries if closest is not None else ():
            key = zone, secondary.address
            if (earlier := self._notifying.pop(key, None)) is not None:
                earlier.cancel()
            task = asyncio.get_running_loop().create_task(tell(zone, *secondary))
            self._notifying[key] = task
            task.add_done_callback(partial(self._forget, key))

    def _forget(self, key: tuple[bytes, Address], done: asyncio.Task[None]) -> None:
        if self._notifying.get(key) is done:
            del self._notifying[key]


def _address(option: Option, word: str) -> Address:
    try:
        address = parse(word)
    except ValueError as error:
        raise option.error(f"to: {error}", word) from None
    if not isinstance(address, Address) or address.scheme != "dns":
        raise option.error(f"to: expected * or an IP address with or without a port, found {word!r}", word)
    return address


def _serial(soa: Record) -> int:
    return int.from_bytes(soa.data[-20:-16], "big")


def _newer(serial: int, than: int) -> bool:
    """Whether a serial is the newer one (RFC 1982 section 3.2); where that is undefined, it is."""
    return 0 < (serial - than) % 2**32 <= 2**31
