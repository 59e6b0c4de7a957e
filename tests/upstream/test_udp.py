from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names
from pydnsk8s.upstream import Message, Terms, Unanswered, Upstream, parse
from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.outstanding import Outstanding, Patience
from pydnsk8s.upstream.udp import Port, Udp
from tests.upstream.servers import Replies, Server, reply, until

QUESTION = Message.ask(names.parse_keeping_case("wWw.Example.org"), codes.A)
QUICK = Terms(read_timeout=0.15)


@asynccontextmanager
async def upstream(server: Server, terms: Terms = QUICK) -> AsyncIterator[Upstream]:
    address = parse(server.address)
    assert isinstance(address, Address)
    asked = Upstream(address, terms)
    try:
        yield asked
    finally:
        await asked.stop()


@pytest.fixture
def collector_at_rest() -> Iterator[None]:
    """What is in no circle goes when nobody wants it; what is in one stays meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held(kind: type) -> int:
    """How many objects of a kind there are in memory."""
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def ask(asked: Upstream, *, stream: bool = False) -> bytes:
    return await asked.ask(QUESTION, asked.terms.read_timeout, stream=stream)


async def test_the_reply_comes_back_as_it_was_sent() -> None:
    async with Server() as server, upstream(server) as asked:
        packet = await ask(asked)
        assert packet == reply(server.asked[0].packet)
        assert server.asked[0].packet[2:] == QUESTION.packet[2:]


def _forged(packet: bytes, transport: str) -> Replies:
    right = reply(packet, "192.0.2.1")
    wrong = reply(packet, "203.0.113.66")
    return [
        bytes((wrong[0] ^ 1,)) + wrong[1:],
        wrong.replace(b"\3wWw", b"\3www"),
        wrong.replace(b"\3wWw", b"\3xxx"),
        wrong[:2] + bytes((wrong[2] & 0x7F,)) + wrong[3:],
        wrong[:5] + b"\2" + wrong[6:],
        wrong[:12] + b"\xc0\x0c",
        b"",
        b"\0" * 11,
        b"\xff" * 500,
        right,
    ]


async def test_packets_with_another_id_or_question_or_letter_case_are_passed_over() -> None:
    async with Server(_forged) as server, upstream(server) as asked:
        assert (await ask(asked)).endswith(socket.inet_aton("192.0.2.1"))


async def test_a_right_reply_from_another_port_is_not_believed() -> None:
    async with Server(lambda packet, transport: None) as server, upstream(server) as asked:
        waiting = asyncio.ensure_future(ask(asked))
        await until(lambda: bool(server.asked))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.sendto(reply(server.asked[0].packet), ("127.0.0.1", server.asked[0].port))
        with pytest.raises(Unanswered, match=r"no reply within 0.15 s"):
            await waiting


async def test_a_reply_that_is_too_late_answers_nobody() -> None:
    async with Server() as server, upstream(server) as asked:
        server.delay = 0.3
        with pytest.raises(Unanswered):
            await ask(asked)
        server.delay = 0.0
        server.behave = lambda packet, transport: reply(packet, "192.0.2.2")
        await asyncio.sleep(0.2)
        assert (await ask(asked)).endswith(socket.inet_aton("192.0.2.2"))


async def test_a_server_that_does_not_listen_fails_its_questions_at_once() -> None:
    async with Server() as server:
        pass
    async with upstream(server, Terms(read_timeout=60)) as asked:
        with pytest.raises(Unanswered, match="connection refused"):
            await asyncio.wait_for(ask(asked), 5)


async def test_questions_leave_from_many_ports_with_ids_that_do_not_repeat() -> None:
    async with Server() as server, upstream(server) as asked:
        for _ in range(10):
            await asyncio.gather(*(ask(asked) for _ in range(40)))
        ports = {received.port for received in server.asked}
        ids = [received.packet[:2] for received in server.asked]
        assert Udp.PORTS / 2 < len(ports) <= Udp.PORTS
        assert len(set(ids)) > 380
        steps = {int.from_bytes(b, "big") - int.from_bytes(a, "big") for a, b in pairwise(ids)}
        assert len(steps) > 300


async def test_a_port_is_given_up_after_some_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Udp, "USES", 4)
    async with Server() as server, upstream(server) as asked:
        for _ in range(20):
            await asyncio.gather(*(ask(asked) for _ in range(10)))
        assert len({received.port for received in server.asked}) >= 40


async def test_a_port_that_was_given_up_is_gone_before_the_garbage_collector_comes(
    monkeypatch: pytest.MonkeyPatch, collector_at_rest: None
) -> None:
    monkeypatch.setattr(Udp, "USES", 4)
    async with Server() as server, upstream(server) as asked:
        for _ in range(20):
            await asyncio.gather(*(ask(asked) for _ in range(10)))
        assert len({received.port for received in server.asked}) >= 40
        assert held(Port) <= Udp.PORTS


async def test_a_port_is_given_up_after_some_time() -> None:
    async with Server() as server, upstream(server, Terms(expire=0)) as asked:
        for _ in range(30):
            await ask(asked)
        assert len({received.port for received in server.asked}) >= 25


async def test_stopping_tells_everybody_who_waits_and_closes_every_port() -> None:
    async with Server(lambda packet, transport: None) as server:
        async with upstream(server, Terms(read_timeout=60)) as asked:
            waiting = [asyncio.ensure_future(ask(asked)) for _ in range(50)]
            await asyncio.sleep(0.01)
        for each in waiting:
            with pytest.raises(Unanswered, match="stopping"):
                await each


async def test_a_caller_who_goes_away_leaves_nothing_behind() -> None:
    async with Server() as server, upstream(server) as asked:
        waiting = asyncio.ensure_future(ask(asked))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.05)
        assert await ask(asked)


async def test_an_error_that_is_a_header_alone_is_taken_for_the_reply() -> None:
    def formerr(packet: bytes, transport: str) -> Replies:
        return packet[:2] + b"\x80\1" + bytes(8)

    async with Server(formerr) as server, upstream(server) as asked:
        assert len(await ask(asked)) == 12


async def test_a_denial_that_does_not_say_of_what_is_passed_over() -> None:
    def denial(packet: bytes, transport: str) -> Replies:
        return [packet[:2] + b"\x80\3" + bytes(8), reply(packet)]

    async with Server(denial) as server, upstream(server) as asked:
        assert await ask(asked) == reply(server.asked[0].packet)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_no_packet_breaks_the_bookkeeping(junk: bytes, cut: int) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        patience = Patience()
        outstanding = Outstanding(patience, loop, lambda: None)
        came: list[bytes | Unanswered] = []
        packet = outstanding.add(QUESTION, 60, came.append)
        right = reply(packet)
        for arrived in (junk, packet[:2] + junk, right[:cut] + junk, right[:cut]):
            if arrived[:2] + arrived[12:33] != right[:2] + right[12:33]:
                outstanding.settle(arrived)
        bare_error = [len(answer) for answer in came if isinstance(answer, bytes)] == [12]
        assert len(outstanding) == (0 if bare_error else 1)
        outstanding.fail(Unanswered("the end"))
        await asyncio.sleep(0)
        assert len(came) == 1
        assert isinstance(came[0], Unanswered) or bare_error
        patience.stop()

    asyncio.run(scene())
