"""TCP (RFC 7766): pipelined, answered in any order, and no client can hold the server up."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pydnsk8s import testing
from pydnsk8s.listen import tcp
from pydnsk8s.listen.port import Port
from pydnsk8s.plugin import Timeouts
from pydnsk8s.server import Server

from .dns_clients import HOSTS, connected, framed, question, until

PLAIN = f"example.org {{\n{HOSTS}\n}}"
SLOW_AND_QUICK = PLAIN + "\nslow.example.org {\nerratic {\ndrop 0\ndelay 1 100ms\n}\n}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that have patience for moments only."""
    monkeypatch.setattr(tcp, "_SWEEP", 0.03)
    bind = tcp.Tcp.__init__

    def hurried(self: tcp.Tcp, port: Port, bound: socket.socket, timeouts: Timeouts) -> None:
        bind(self, port, bound, Timeouts(0.2, 0.2, 0.2))

    monkeypatch.setattr(tcp.Tcp, "__init__", hurried)


def listener(server: Server) -> tcp.Tcp:
    return next(iter(server._open.values())).tcp[0]


async def test_many_questions_on_one_connection_are_all_answered() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        client.send(b"".join(framed(question("ab"[id % 2] + ".example.org", id=id)) for id in range(500)))
        answers = await client.answers(500)
        assert answers.keys() == set(range(500))
        for id, answer in answers.items():
            assert answer.answer[0].startswith("ab"[id % 2])


async def test_a_question_may_come_octet_by_octet() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        for octet in framed(question(id=7)):
            client.send(bytes((octet,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.answers(1))[7].rcode == "NOERROR"


async def test_a_quick_answer_overtakes_a_slow_one() -> None:
    """RFC 7766 section 6.2.1.1: replies are sent as they become ready."""
    async with testing.listening(SLOW_AND_QUICK) as server, connected(server) as client:
        client.send(framed(question("slow.example.org", id=1)) + framed(question(id=2)))
        assert list(await client.answers(2)) == [2, 1]


async def test_a_client_that_closes_its_side_still_gets_its_answers() -> None:
    async with testing.listening(SLOW_AND_QUICK) as server, connected(server) as client:
        client.send(framed(question("slow.example.org", id=1)) + framed(question(id=2)))
        client.writer.write_eof()
        assert (await client.answers(2)).keys() == {1, 2}
        assert await client.closed()


async def test_thousands_of_questions_at_once_leave_others_their_turn() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as greedy, connected(server) as modest:
        greedy.send(b"".join(framed(question(id=id)) for id in range(5000)))
        greedy.writer.write_eof()
        await until(lambda: any(connection._answered for connection in listener(server).connections))
        modest.send(framed(question(id=7)))
        await modest.answers(1)
        answered = max(connection._answered for connection in listener(server).connections)
        assert answered < 5000
        assert (await greedy.answers(5000)).keys() == set(range(5000))
        assert await greedy.closed()


@pytest.mark.usefixtures("impatient")
async def test_an_idle_connection_is_closed() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        client.send(framed(question(id=1)))
        await client.answers(1)
        assert await client.closed()
        assert not listener(server).connections


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_never_finishes_its_question_is_sent_away() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        client.send(framed(question())[:5])
        assert await client.closed()


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_trickles_is_sent_away() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        gone = asyncio.create_task(client.closed())
        for octet in framed(question() * 20):
            if gone.done() or client.writer.is_closing():
                break
            client.send(bytes((octet,)))
            await asyncio.sleep(0.05)
        assert await gone


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_does_not_read_is_sent_away() -> None:
    lines = "\n".join(f"    2001:db8::{number:x} many.example.org" for number in range(1, 1500))
    text = f"example.org {{\nhosts {{\n{lines}\n}}\n}}"
    async with testing.listening(text) as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # the transport of a stream can
        client.send(framed(question("many.example.org", "AAAA")) * 500)
        await until(lambda: listener(server).connections)
        await until(lambda: not listener(server).connections)


async def test_the_one_silent_longest_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_MOST_CONNECTIONS", 3)
    async with testing.listening(PLAIN) as server:
        async with connected(server) as first, connected(server) as second, connected(server) as third:
            for id, client in enumerate((second, third, first)):
                client.send(framed(question(id=id)))
                assert (await client.answers(1)).keys() == {id}
            async with connected(server) as fourth:
                fourth.send(framed(question(id=4)))
                assert (await fourth.answers(1)).keys() == {4}
                assert await second.closed()
                assert listener(server).turned_away == 1
                first.send(framed(question(id=5)))
                assert (await first.answers(1)).keys() == {5}


async def test_too_many_waiting_questions_pause_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_MOST_PENDING", 4)
    text = "example.org {\nerratic {\ndrop 0\ndelay 1 10ms\n}\n}"
    async with testing.listening(text) as server, connected(server) as client:
        client.send(b"".join(framed(question(id=id)) for id in range(40)))
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, listener(server).pending)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        assert (await client.answers(40)).keys() == set(range(40))
        watching.cancel()
        assert 0 < most <= 4


async def test_of_a_client_that_does_not_read_no_more_questions_are_taken_in() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        client.send(framed(question()) * 200_000)
        await until(lambda: any(held._blocked_since is not None for held in listener(server).connections))
        held = next(iter(listener(server).connections))
        for _ in range(200):
            await asyncio.sleep(0)
        assert held._transport is not None
        assert not held._transport.is_reading()


async def test_an_answer_that_makes_room_for_the_next_question_does_not_repeat_any() -> None:
    """A quick question that fills a connection of slow ones up is answered before it was put away."""
    async with testing.listening(SLOW_AND_QUICK) as server, connected(server) as client:
        slow = [framed(question("slow.example.org", id=id)) for id in range(tcp._MOST_PENDING - 1)]
        quick = [framed(question("ab"[id % 2] + ".example.org", id=id)) for id in range(1000, 1020)]
        client.send(b"".join(slow + quick))
        ids = [int.from_bytes((await client.receive())[:2], "big") for _ in slow + quick]
        assert sorted(ids) == [*range(len(slow)), *range(1000, 1020)]


async def test_a_connection_may_be_limited_to_so_many_questions() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        listener(server).timeouts.queries = 3
        client.send(b"".join(framed(question(id=id)) for id in range(5)))
        assert (await client.answers(3)).keys() == {0, 1, 2}
        assert await client.closed()


@pytest.mark.parametrize("rude", [b"\0\0", b"\0\1x", framed(b"\xff" * 700), framed(question()[:-2]), b"\0\0" * 500])
async def test_rubbish_does_not_hinder_the_next_question(rude: bytes) -> None:
    async with testing.listening(PLAIN) as server:
        async with connected(server) as vandal, connected(server) as client:
            vandal.send(rude)
            client.send(framed(question(id=3)))
            assert (await client.answers(1))[3].rcode == "NOERROR"
            vandal.send(framed(question(id=9)))
            wire = await vandal.receive()
            while wire and wire[:2] != b"\0\x09":
                wire = await vandal.receive()
            assert wire[:2] == b"\0\x09"


@pytest.mark.usefixtures("impatient")
async def test_http_on_the_port_is_only_rubbish() -> None:
    async with testing.listening(PLAIN) as server, connected(server) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        assert await client.closed()


async def test_a_large_answer_is_whole_over_tcp() -> None:
    lines = "\n".join(f"    2001:db8::{number:x} many.example.org" for number in range(1, 1000))
    async with testing.listening(f"example.org {{\nhosts {{\n{lines}\n}}\n}}") as server, connected(server) as client:
        client.send(framed(question("many.example.org", "AAAA", id=1)))
        answer = (await client.answers(1))[1]
        assert len(answer.answer) == 999
        assert "tc" not in answer.flags


async def test_stopping_lets_the_answers_on_their_way_out() -> None:
    async with testing.listening(SLOW_AND_QUICK) as server, connected(server) as client:
        client.send(framed(question("slow.example.org", id=1)))
        await until(lambda: listener(server).pending)
        await server.stop()
        assert (await client.answers(1)).keys() == {1}
