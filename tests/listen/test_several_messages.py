"""Replies in several messages (RFC 5936 section 2.2): made while the client takes them, and nobody waits for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from pydnsk8s import codes, names, rdata, testing
from pydnsk8s.keep import ALWAYS
from pydnsk8s.listen import tcp
from pydnsk8s.listen.port import Port
from pydnsk8s.message import Query, Record, Reply, Seen
from pydnsk8s.plugin import Chain, Later, Plugin, Stop, Timeouts
from pydnsk8s.server import Server
from pydnsk8s.testing import transfer_query

from .dns_clients import Udp, connected, framed, question, until

ZONE = names.parse("example.org")
SEVERAL = transfer_query("example.org")


class Telling:
    """The end of a chain that answers AXFR with so many numbered messages, and everything else with one."""

    def __init__(self, count: int, *, octets: int = 10, fails_at: int = -1) -> None:
        self.count = count
        self.octets = octets
        self.fails_at = fails_at
        self.asked = 0
        self.made = 0
        self.ended = False

    async def __call__(self, query: Query) -> Reply:
        self.asked += 1
        if query.type != codes.AXFR:
            return Reply(answer=[self.record(0)])
        messages = self.messages()
        return next(messages).with_(more=messages)

    def messages(self) -> Iterator[Reply]:
        try:
            for number in range(self.count):
                if number == self.fails_at:
                    raise ValueError("out of records")
                self.made += 1
                yield Reply(answer=[self.record(number)], keep=ALWAYS)
        finally:
            self.ended = True

    def record(self, number: int) -> Record:
        return Record(ZONE, codes.TXT, 5, rdata.txt(str(number).ljust(self.octets).encode()))


class Watching(Plugin):
    def __init__(self) -> None:
        self.noted: list[Seen] = []

    def seen(self, batch: Sequence[Seen]) -> None:
        self.noted += batch


@asynccontextmanager
async def serving(chain: Callable[[Query], Awaitable[Reply]]) -> AsyncIterator[Server]:
    async with testing.listening("example.org {\nwhoami\n}") as server:
        assert server.configuration is not None
        server.configuration.blocks[0].chain = Chain(Stop(None, (), Later(chain)))
        yield server


def told(wire: bytes) -> int:
    """The number in a message."""
    [record] = testing.read(wire).answer
    return int(record.partition('"')[2].split()[0].strip('"'))


async def test_all_messages_arrive_in_order() -> None:
    async with serving(Telling(500)) as server, connected(server) as client:
        client.send(framed(SEVERAL))
        assert [told(await client.receive()) for _ in range(500)] == list(range(500))


async def test_all_messages_arrive_of_what_is_told_at_once() -> None:
    telling = Telling(50)
    async with serving(telling) as server, connected(server) as client:
        assert server.configuration is not None
        reply = await telling(Query(ZONE, codes.AXFR))
        server.configuration.blocks[0].chain = Chain(Stop(lambda _: reply, (), Later(telling)))
        client.send(framed(SEVERAL))
        assert [told(await client.receive()) for _ in range(50)] == list(range(50))


async def test_other_questions_of_the_connection_are_answered_in_between() -> None:
    telling = Telling(500)
    async with serving(telling) as server, connected(server) as client:
        client.send(framed(SEVERAL) + framed(question("example.org", id=9)))
        wires = [await client.receive() for _ in range(501)]
        assert 0 < [wire[:2] for wire in wires].index(b"\0\x09") < 500


async def test_no_more_is_made_than_the_client_takes() -> None:
    telling = Telling(10_000, octets=16_000)
    async with serving(telling) as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # the transport of a stream can
        client.send(framed(SEVERAL))
        connections = next(iter(server._open.values())).tcp[0].connections
        await until(lambda: any(held._blocked_since is not None for held in connections))
        before = telling.made
        async with connected(server) as other:
            other.send(framed(question("example.org", id=9)))
            assert (await other.answers(1)).keys() == {9}
        assert telling.made == before < 2_000
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [told(await client.receive()) for _ in range(before + 50)] == list(range(before + 50))


async def test_nothing_more_is_made_for_a_client_that_has_gone() -> None:
    telling = Telling(10_000, octets=16_000)
    async with serving(telling) as server:
        async with connected(server) as client:
            client.send(framed(SEVERAL))
            await client.receive()
        await until(lambda: telling.ended)
        assert telling.made < 10_000


async def test_a_client_that_stops_taking_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = tcp.Tcp.__init__

    def hurried(self: tcp.Tcp, port: Port, bound: socket.socket, timeouts: Timeouts) -> None:
        bind(self, port, bound, Timeouts(0.1, 0.1, 0.1))

    monkeypatch.setattr(tcp, "_SWEEP", 0.03)
    monkeypatch.setattr(tcp.Tcp, "__init__", hurried)
    telling = Telling(10_000, octets=16_000)
    async with serving(telling) as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(framed(SEVERAL))
        await until(lambda: telling.ended)


async def test_a_fault_halfway_is_told_and_the_connection_goes_on() -> None:
    async with serving(Telling(500, fails_at=3)) as server, connected(server) as client:
        client.send(framed(SEVERAL))
        codes_ = [testing.read(await client.receive()).rcode for _ in range(4)]
        assert codes_ == ["NOERROR", "NOERROR", "NOERROR", "SERVFAIL"]
        client.send(framed(question("example.org", id=9)))
        assert (await client.answers(1)).keys() == {9}


async def test_over_udp_the_client_is_told_to_come_again() -> None:
    async with serving(Telling(5)) as server:
        with Udp() as client:
            answer, _ = await client.ask(SEVERAL, ("127.0.0.1", server.port))
        assert "tc" in answer.flags
        assert not answer.answer


async def test_they_are_never_kept_whatever_their_keep_says() -> None:
    telling = Telling(2)
    async with serving(telling) as server, connected(server) as client:
        for times in (1, 2, 3):
            client.send(framed(SEVERAL))
            assert [told(await client.receive()) for _ in range(2)] == [0, 1]
            assert telling.asked == times


async def test_they_are_seen_as_one_reply_of_all_their_octets() -> None:
    watching = Watching()
    async with serving(Telling(50)) as server, connected(server) as client:
        assert server.configuration is not None
        server.configuration.blocks[0].watchers = (watching,)
        client.send(framed(SEVERAL))
        octets = sum([len(await client.receive()) for _ in range(50)])
        await until(lambda: watching.noted)
        [seen] = watching.noted
        assert seen.size == octets


async def test_stopping_lets_them_out() -> None:
    async with serving(Telling(200)) as server, connected(server) as client:
        client.send(framed(SEVERAL))
        await client.receive()
        stopping = asyncio.create_task(server.stop())
        assert [told(await client.receive()) for _ in range(199)] == list(range(1, 200))
        await stopping
