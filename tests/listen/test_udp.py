"""UDP: replies leave from the address that was asked, and nobody's packet keeps the others waiting."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest

from pydnsk8s import clock, metrics, testing
from pydnsk8s.listen import backlog, udp
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.whoami import Whoami
from pydnsk8s.server import Server

from .dns_clients import HOSTS, Udp, question

_STALL = 0.4  # seconds


def shown(metric: str) -> float:
    """A number as the metrics page shows it; such numbers go on from server to server."""
    _, text = metrics.exposition()
    return float(next(line for line in text.decode().splitlines() if line.startswith(metric)).split()[1])


def given_up(reason: str) -> float:
    return shown(f'coredns_shed_dropped_total{{reason="{reason}",server="dns://127.0.0.1:0"}}')


def overflowed() -> float:
    return shown('coredns_udp_overflows_total{server="dns://127.0.0.1:0"}')


def burst(client: Udp, server: Server, ids: range) -> None:
    """Ask so often before the server has its turn."""
    for id in ids:
        client.socket.sendto(question(id=id), ("127.0.0.1", server.port))


def mixed(client: Udp, server: Server) -> None:
    """Ask for what is known and for what nobody knows in turns: the even ids are those that are known."""
    for id in range(0, 192, 2):
        burst(client, server, range(id, id + 1))
        client.socket.sendto(question(f"random-{id}.example.org", id=id + 1), ("127.0.0.1", server.port))


def ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_many_questions_from_one_socket_are_all_answered() -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        with Udp() as client:
            for id in range(300):
                answer, _ = await client.ask(question(id=id), ("127.0.0.1", server.port))
                assert answer.wire[:2] == id.to_bytes(2, "big")
                assert answer.answer == ["a.example.org. 3600 A 192.0.2.1"]


async def test_a_reply_comes_from_the_address_that_was_asked() -> None:
    async with Server.from_text(f"example.org {{\n{HOSTS}\n}}", port=0) as server:
        with Udp() as client:
            for address in ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.0.0.2"):
                answer, sender = await client.ask(question(), (address, server.port))
                assert sender == address
                assert answer.rcode == "NOERROR"
                # An answer that is not from memory takes the same way.
                _, sender = await client.ask(question("none.example.org"), (address, server.port))
                assert sender == address


@pytest.mark.skipif(not ipv6(), reason="no IPv6 on this machine")
async def test_ipv6_is_served_too() -> None:
    async with Server.from_text("example.org {\nwhoami\n}", port=0) as server:
        with Udp(socket.AF_INET6) as client:
            answer, sender = await client.ask(question(), ("::1", server.port))
        assert sender == "::1"
        assert answer.additional[0] == "a.example.org. 0 AAAA ::1"


async def test_a_bound_address_serves_its_own_zones_only() -> None:
    text = "example.org {\nbind 127.0.0.3\nwhoami\n}\n"
    async with Server.from_text(text, port=0) as server:
        with Udp() as client:
            answer, sender = await client.ask(question(), ("127.0.0.3", server.port))
    assert (answer.rcode, sender) == ("NOERROR", "127.0.0.3")


@pytest.mark.parametrize(
    "rude", [b"", b"x", b"\0" * 11, b"\xff" * 600, question()[:-3], b"\0\1\x81\0" + question()[4:], b"\0" * 65000]
)
async def test_rubbish_does_not_hinder_the_next_question(rude: bytes) -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        with Udp() as vandal, Udp() as client:
            for _ in range(5):
                vandal.socket.sendto(rude, ("127.0.0.1", server.port))
            answer, _ = await client.ask(question(), ("127.0.0.1", server.port))
            assert answer.rcode == "NOERROR"


async def test_a_reply_that_is_longer_than_a_datagram_may_be_is_cut_to_what_the_client_takes() -> None:
    lines = "\n".join(f"    192.0.2.{number} many.example.org" for number in range(1, 120))
    async with testing.listening(f"example.org {{\nhosts {{\n{lines}\n}}\n}}") as server:
        with Udp() as client:
            answer, _ = await client.ask(question("many.example.org"), ("127.0.0.1", server.port))
    assert len(answer.wire) <= 512
    assert "tc" in answer.flags


async def test_a_slow_question_does_not_hold_up_a_quick_one() -> None:
    text = """
        slow.example.org {
            erratic {
                drop 0
                delay 1 200ms
            }
        }
        example.org {
            whoami
        }
    """
    async with testing.listening(text) as server:
        with Udp() as slow, Udp() as quick:
            waiting = asyncio.create_task(slow.ask(question("slow.example.org"), ("127.0.0.1", server.port)))
            await asyncio.sleep(0.01)
            await quick.ask(question(), ("127.0.0.1", server.port))
            assert not waiting.done()
            answer, _ = await waiting
            assert answer.rcode == "NOERROR"


async def test_of_too_many_waiting_questions_the_oldest_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_MOST_PENDING", 3)
    text = "example.org {\nerratic {\ndrop 0\ndelay 1 100ms\n}\n}"
    async with testing.listening(text) as server:
        before = given_up("pending")
        with Udp() as client:
            burst(client, server, range(10))
            assert [await client.id() for _ in range(3)] == [7, 8, 9]
            assert given_up("pending") - before == 7
            await client.ask(question(id=12), ("127.0.0.1", server.port))
            assert given_up("pending") - before == 7


async def test_a_burst_is_answered_to_the_last_question() -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        before = given_up("query")
        with Udp() as client:
            await client.ask(question(), ("127.0.0.1", server.port))
            burst(client, server, range(300))
            assert [await client.id() for _ in range(300)] == list(range(300))
            assert given_up("query") == before


class Miscounting:
    """A tally that cannot count."""

    def add(self, servings: int) -> None:
        raise ZeroDivisionError


async def test_a_fault_of_a_plugin_once_it_has_answered_costs_nobody_a_reply(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def at_once(_: Whoami, query: Query) -> Reply:
        return Reply(tallies=(Miscounting(),) if query.id == 2 else ())

    monkeypatch.setattr(Whoami, "at_once", at_once)
    async with testing.listening("example.org {\nwhoami\n}") as server:
        with Udp() as client:
            burst(client, server, range(5))
            assert [await client.id() for _ in range(5)] == list(range(5))
    assert "unexpected ZeroDivisionError while remembering the reply to" in caplog.text


async def test_of_a_queue_that_stands_the_oldest_are_given_up_and_the_newest_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        listener = next(iter(server._open.values())).udp[0]
        room = listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        with Udp() as client:
            await client.ask(question(), ("127.0.0.1", server.port))
            monkeypatch.setattr(backlog, "_PATIENCE", -1.0)  # every queue stands
            monkeypatch.setattr(backlog, "_FRESH", _STALL / 2)
            # Once it had its hands full the server wants to know how old questions are.
            burst(client, server, range(100))
            assert [await client.id() for _ in range(100)] == list(range(100))
            before = given_up("query")
            burst(client, server, range(1000, 1300))
            time.sleep(_STALL)  # noqa: ASYNC251 - the server is held up
            burst(client, server, range(2000, 2100))
            answered = [await client.id()]
            while answered[-1] != 2099:
                answered.append(await client.id())
            gone = given_up("query") - before
            # It works on, finds the queue still there, and gives up what is stale.
            stale = [id for id in answered if id < 2000]
            assert stale == list(range(1000, 1000 + len(stale)))
            assert len(stale) < 300
            assert answered[len(stale) :] == list(range(2100 - len(answered) + len(stale), 2100))
            assert len(answered) + gone == 400
            assert "overloaded" in caplog.text
            # With the queue gone all is as before.
            monkeypatch.undo()
            monkeypatch.setattr(backlog, "_WARY", 0.0)
            burst(client, server, range(3000, 3100))
            assert [await client.id() for _ in range(100)] == list(range(3000, 3100))
            assert given_up("query") - before == gone
            assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == room


async def test_under_overload_names_that_nothing_is_known_of_stand_back_for_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        listener = next(iter(server._open.values())).udp[0]
        with Udp() as client:
            await client.ask(question(), ("127.0.0.1", server.port))
            monkeypatch.setattr(listener._backlog, "cut_at", clock.now())
            before = given_up("miss")
            mixed(client, server)
            answered: set[int] = set()
            while given_up("miss") == before or 190 not in answered:
                answered.add(await client.id())
            assert answered >= set(range(0, 192, 2))
            assert 0 < given_up("miss") - before < 96


async def test_what_goes_on_not_fitting_into_a_short_buffer_is_overload_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        listener = next(iter(server._open.values())).udp[0]
        with Udp() as client:
            await client.ask(question(), ("127.0.0.1", server.port))
            monkeypatch.setattr(backlog, "_PATIENCE", -1.0)  # every queue stands
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
            before, lost = given_up("miss"), overflowed()
            burst(client, server, range(1000, 2000))
            await client.id()
            mixed(client, server)
            while given_up("miss") == before:
                await client.id()
            assert overflowed() > lost


async def test_what_the_kernel_has_no_room_for_is_counted() -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        listener = next(iter(server._open.values())).udp[0]
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = overflowed()
        with Udp() as client:
            burst(client, server, range(100))
            answer, _ = await client.ask(question(), ("127.0.0.1", server.port))
            assert answer.rcode == "NOERROR"
        dropped = overflowed() - before
        assert 0 < dropped <= 100
        assert overflowed() - before == dropped


def raw() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
    except PermissionError:
        return False
    return True


@pytest.mark.skipif(not raw(), reason="raw sockets take CAP_NET_RAW")
async def test_clients_that_cannot_be_replied_to_are_counted_and_the_next_is_answered() -> None:
    async with testing.listening(f"example.org {{\n{HOSTS}\n}}") as server:
        before = given_up("response")
        with Udp() as client, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as forger:
            await client.ask(question(), ("127.0.0.1", server.port))
            for _ in range(10):
                # From port 0, where nobody can be.
                header = struct.pack("!4H", 0, server.port, 8 + len(question()), 0)
                forger.sendto(header + question(), ("127.0.0.1", 0))
            await client.ask(question(), ("127.0.0.1", server.port))
        assert given_up("response") - before == 10
