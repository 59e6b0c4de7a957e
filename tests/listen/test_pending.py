"""UDP queries that wait for an upstream: each is answered once, or given up, with a cache in front or without."""

from __future__ import annotations

import asyncio

import pytest

from pydnsk8s import corefile, names, testing
from pydnsk8s.chain import join, link
from pydnsk8s.listen import udp
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import Later, Plugin, Rest, Take, Wake
from pydnsk8s.plugins.forward import Forward
from pydnsk8s.server import Server
from tests.upstream.servers import Behaviour, Replies, reply, until
from tests.upstream.servers import Server as Upstream

from .dns_clients import Udp
from .forwarding import ask, asked, forwarding, listener, send, silence

SECOND = "www.example.org. 300 A 192.0.2.2"


def second(packet: bytes, transport: str) -> Replies:
    return reply(packet, "192.0.2.2")


@pytest.mark.parametrize("cache", ["", "cache\n"])
@pytest.mark.parametrize(
    "bad",
    [silence, lambda packet, transport: reply(packet) + b"x", lambda packet, transport: reply(packet, rcode=2)],
    ids=["silent", "malformed", "failing"],
)
async def test_what_the_first_upstream_does_not_answer_well_the_second_does(bad: Behaviour, cache: str) -> None:
    directives = cache + "forward . {} {\npolicy sequential\nread_timeout 50ms\nfailover SERVFAIL\n}"
    async with Upstream(bad) as first, Upstream(second) as other, forwarding(directives, first, other) as server:
        assert (await ask(server)).answer == [SECOND]
        assert len(other.asked) == 1
        assert listener(server).pending == 0


@pytest.mark.parametrize("cache", ["", "cache\n"])
async def test_when_nobody_answers_the_client_is_told(cache: str, caplog: pytest.LogCaptureFixture) -> None:
    directives = "errors\n" + cache + "forward . {} {\nread_timeout 20ms\n}"
    async with Upstream(silence) as mute, forwarding(directives, mute) as server:
        assert (await ask(server)).rcode == "SERVFAIL"
    assert "no reply within 0.02 s" in caplog.text


@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp", "failfast_all_unhealthy_upstreams", "next NXDOMAIN"])
async def test_options_that_ask_for_more_than_one_packet_get_it(option: str) -> None:
    def behave(packet: bytes, transport: str) -> Replies:
        return reply(packet, truncated=option == "prefer_udp" and transport == "udp")

    async with Upstream(behave) as upstream, forwarding(f"forward . {{}} {{\n{option}\n}}", upstream) as server:
        for _ in range(3):
            assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.1"]


KNOWN = pytest.mark.parametrize("known", [False, True], ids=["first", "relayed"])
"""Whether others like it have been forwarded before, so that a query is passed on as it is."""


@KNOWN
async def test_more_than_may_wait_for_an_upstream_are_refused_until_one_is_answered(*, known: bool) -> None:
    async with Upstream() as upstream, forwarding("forward . {} {\nmax_concurrent 3\n}", upstream) as server:
        if known:
            await ask(server)
        for _ in range(2):
            upstream.delay = 0.05
            with Udp() as client:
                for id in range(5):
                    send(client, server, id)
                assert [await client.id() for _ in range(5)][:2] == [3, 4]
            upstream.delay = 0.0
            assert (await ask(server)).rcode == "NOERROR"


async def test_cancel_bounds_the_wait() -> None:
    async with Upstream(silence) as mute, forwarding("cancel 20ms\nforward . {}", mute) as server:
        assert (await ask(server)).rcode == "SERVFAIL"
        assert listener(server).pending == 0


class Fails(Plugin):
    """Fails over the replies for one name."""

    name = "fails"

    def amend(self, query: Query, reply: Reply) -> Reply:
        if query.name == names.parse("bad.example.org"):
            raise ValueError("no such thing")
        return reply


@pytest.mark.parametrize("cache", ["", "cache\n"])
async def test_a_plugin_that_fails_over_a_reply_costs_that_reply(cache: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Upstream() as upstream, forwarding(cache + "forward . {}", upstream) as server:
        assert server.configuration is not None
        block = server.configuration.blocks[0]
        for place in reversed(range(len(block.plugins))):
            fails = Fails()
            block.plugins.insert(place, fails)
            join(block)
            for _ in range(2):  # what failed once keeps nobody waiting
                assert (await ask(server, "bad.example.org")).rcode == "SERVFAIL"
            assert (await ask(server, "good.example.org")).rcode == "NOERROR"
            assert listener(server).pending == 0
            block.plugins.remove(fails)
    assert "no such thing" in caplog.text


class Breaks(Plugin):
    """Fails at one of the two steps of waiting without a coroutine."""

    name = "breaks"

    def __init__(self, *, at_first: bool) -> None:
        self.at_first = at_first

    async def answer(self, query: Query, rest: Rest) -> Reply:
        return Reply()

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        if query.name == names.parse("good.example.org"):
            return None
        if self.at_first:
            raise ValueError("no such thing")
        asyncio.get_running_loop().call_soon(wake, "no such thing")
        return self._take

    def _take(self, came: str) -> Reply:
        raise ValueError(came)


@pytest.mark.parametrize("at_first", [True, False])
async def test_a_plugin_that_fails_while_it_waits_costs_that_query(
    caplog: pytest.LogCaptureFixture, *, at_first: bool
) -> None:
    async with forwarding("whoami") as server:
        assert server.configuration is not None
        server.configuration.blocks[0].chain = link([Breaks(at_first=at_first)])
        assert (await ask(server)).rcode == "SERVFAIL"
        assert (await ask(server, "good.example.org")).rcode == "NOERROR"
        assert listener(server).pending == 0
    assert caplog.text.count("no such thing") == 1


@KNOWN
async def test_of_too_many_that_wait_for_an_upstream_the_oldest_is_given_up(
    monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    monkeypatch.setattr(udp, "_MOST_PENDING", 3)
    async with Upstream() as upstream, forwarding("forward . {} {\nmax_concurrent 100\n}", upstream) as server:
        if known:
            await ask(server)
            upstream.asked.clear()
        upstream.delay = 0.1
        with Udp() as client:
            for id in range(10):
                send(client, server, id)
            await until(lambda: len(upstream.asked) == 10)
            assert listener(server).pending == 3
            assert sorted([await client.id() for _ in range(3)]) == [7, 8, 9]
            assert listener(server).pending == 0
            # Nobody waits for an upstream any more either.
            assert server.configuration is not None
            assert [plugin._waiting for plugin in server.configuration.plugins if isinstance(plugin, Forward)] == [0]
            upstream.delay = 0.0
            send(client, server, 12)
            assert await client.id() == 12


async def test_who_was_given_up_is_not_tried_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_MOST_PENDING", 1)
    directives = "forward . {} {\npolicy sequential\nfailover SERVFAIL\n}"
    async with Upstream(lambda packet, transport: reply(packet, rcode=2)) as first, Upstream() as other:
        async with forwarding(directives, first, other) as server:
            first.delay = 0.05
            with Udp() as client:
                send(client, server, 1, "old.example.org")
                send(client, server, 2, "new.example.org")
                assert await client.id() == 2
            assert asked(first) == {"old.example.org.": 1, "new.example.org.": 1}
            assert asked(other) == {"new.example.org.": 1}


async def test_what_comes_for_one_given_up_is_kept_for_those_who_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_MOST_PENDING", 1)
    async with Upstream() as upstream, forwarding("cache\nforward . {}", upstream) as server:
        upstream.delay = 0.05
        with Udp() as client:
            send(client, server, 1, "old.example.org")
            send(client, server, 2, "new.example.org")
            assert await client.id() == 2
        for name in ("old.example.org", "new.example.org"):
            assert (await ask(server, name)).rcode == "NOERROR"
        assert asked(upstream) == {"old.example.org.": 1, "new.example.org.": 1}


@pytest.mark.parametrize("bad", [None, lambda packet, transport: reply(packet, rcode=2)], ids=["good", "failing"])
async def test_who_asks_the_same_meanwhile_waits_for_the_one_answer(
    bad: Behaviour | None,
) -> None:
    directives = "cache\nforward . {} {\npolicy sequential\nfailover SERVFAIL\n}"
    async with Upstream(bad) as first, Upstream() as other, forwarding(directives, first, other) as server:
        first.delay = other.delay = 0.05
        with Udp() as client:
            for id in range(20):
                send(client, server, id)
            assert {await client.id() for _ in range(20)} == set(range(20))
        assert len(first.asked) == 1
        assert len(other.asked) == (0 if bad is None else 1)


async def test_who_waits_for_the_answer_of_one_given_up_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_MOST_PENDING", 2)
    directives = "cache\nforward . {} {\npolicy sequential\nfailover SERVFAIL\n}"
    async with Upstream(lambda packet, transport: reply(packet, rcode=2)) as first, Upstream() as other:
        async with forwarding(directives, first, other) as server:
            first.delay = 0.05
            with Udp() as client:
                for id, name in ((1, "www"), (2, "www"), (3, "new")):
                    send(client, server, id, f"{name}.example.org")
                assert {await client.id() for _ in range(2)} == {2, 3}
            assert asked(other) == {"www.example.org.": 1, "new.example.org.": 1}


@pytest.mark.parametrize("cache", ["", "cache\n"])
async def test_stopping_lets_the_answers_of_upstreams_out(cache: str) -> None:
    async with Upstream() as upstream, forwarding(cache + "forward . {}", upstream) as server:
        upstream.delay = 0.05
        with Udp() as client:
            for id in range(5):
                send(client, server, id, f"host{id}.example.org")
            await until(lambda: listener(server).pending == 5)
            await server.stop()
            assert {await client.id() for _ in range(5)} == set(range(5))


async def test_who_waits_longer_than_the_server_stops_for_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async with Upstream(silence) as mute, forwarding("cache\nforward . {}", mute) as server:
        with Udp() as client:
            send(client, server, 1)
            send(client, server, 2)
            await until(lambda: listener(server).pending == 2)
            while server._open:
                await server._open.popitem()[1].close(within=0.01)
            await server.stop()
        assert len(mute.asked) == 1
    assert not caplog.records


@KNOWN
async def test_who_waits_at_a_reload_gets_the_answer_of_whom_was_asked(*, known: bool) -> None:
    async with Upstream() as first, Upstream(second) as other:
        told = [first.address]
        server = Server(
            lambda known: testing.on_loopback(corefile.parse(f". {{\nforward . {told[0]}\n}}", known=known))
        )
        async with server:
            if known:
                await ask(server)
            first.asked.clear()
            first.delay = 0.05
            with Udp() as client:
                send(client, server, 9)
                await until(lambda: len(first.asked) == 1)
                told[0] = other.address
                await server.reload()
                assert testing.read(await client.next()).answer == ["www.example.org. 300 A 192.0.2.1"]
            assert (await ask(server)).answer == [SECOND]
