"""UDP queries that are passed on as they are, because others like them were before: nobody can tell the difference."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pydnsk8s import clock, codes, corefile, metrics, names, testing
from pydnsk8s.chain import join
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.listen import relays
from pydnsk8s.message import Edns, Query, Reply
from pydnsk8s.plugin import HAND_ON, Later, Plugin, Rest, Take, Turn, Wake
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.server import Server
from pydnsk8s.wire import Forwarded, query
from tests.upstream.servers import Behaviour, Replies, question_end, reply, until
from tests.upstream.servers import Server as Upstream

from .dns_clients import Udp
from .forwarding import ask, asked, forwarding, listener, send, silence

_A = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2"
_AAAA = b"\xc0\x0c\0\x1c\0\1\0\0\1\x2c\0\x10" + bytes(15)
_CNAME = b"\xc0\x0c\0\5\0\1\0\0\1\x2c\0\5\2cn\xc0\x0c"
_TARGET = b"\2cn\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2"
_SOA = b"\xc0\x0c\0\6\0\1\0\0\0\x3c\0\x1c\1a\xc0\x0c\1b\xc0\x0c" + bytes(19)
_TXT = b"\xc0\x0c\0\x10\0\1\0\0\1\x2c\0\xf0\xef" + bytes(238)
_OPT, _OPT_DO = b"\0\0\x29\4\xd0\0\0\0\0\0", b"\0\0\x29\x10\0\0\0\x80\0\0"
_EDE = b"\0\0\x29\x04\xd0\0\0\0\0\0\6\0\x0f\0\2\0"
_BADVERS = b"\0\0\x29\x04\xd0\1\0\0\0\0"
_SHAPES = (
    (0x8180, (1, 0, 0), _A),
    (0x8580, (1, 0, 0), _A),
    (0x8180, (1, 0, 0), _AAAA),
    (0x8180, (2, 0, 0), _CNAME + _TARGET),
    (0x8180, (2, 0, 0), _A + b"\1" + _A),
    (0x8183, (0, 1, 0), _SOA),
    (0x8180, (0, 1, 0), _SOA),
    (0x81A0, (1, 0, 1), _A + b"\1" + _OPT),
    (0x8190, (1, 0, 1), _A + b"\1" + _OPT_DO),
    (0x8183, (0, 1, 1), _SOA + b"\1" + _OPT),
    (0x8180, (1, 0, 1), _A + b"\1" + _EDE),
    (0x8180, (1, 1, 1), _A + b"\1" + _SOA + b"\1" + _TARGET),
    (0x8180, (3, 0, 0), _TXT + b"\1" + _TXT + b"\2" + _TXT),
    (0x8180, (2, 0, 0), _CNAME + _TARGET.replace(b"\0\0\1\x2c", b"\xff\0\1\x2c")),
    (0x8380, (0, 0, 0), b""),
    (0x8182, (0, 0, 0), b""),
    (0x8185, (0, 0, 1), _OPT),
    (0x8180, (0, 0, 1), _BADVERS),
)
"""Flags, counts and records of what an upstream may say, but for the last octet."""


class Passes(Plugin):
    """Lets everything pass, and counts who does."""

    name = "passes"
    stamp = Stamp()

    def __init__(self) -> None:
        self.met = 0
        self.keep = HAND_ON

    def passes(self, zone: bytes) -> Keep:
        return self.keep

    def at_once(self, query: Query) -> Turn:
        self.met += 1
        return self.keep


def met(server: Server) -> Passes:
    """Put one who counts in front of all other plugins."""
    assert server.configuration is not None
    block, plugin = server.configuration.blocks[0], Passes()
    block.plugins.insert(0, plugin)
    join(block)
    return plugin


def forget(server: Server) -> None:
    """Make the listener know of no relays, as if nothing had been asked yet."""
    listener(server)._relays._kinds.clear()


async def test_from_the_second_on_packets_of_a_kind_are_passed_on_as_they_are() -> None:
    async with Upstream() as upstream, forwarding("errors\nloadbalance\nforward . {}", upstream) as server:
        plugin = met(server)
        for name in ("a.example.org", "b.example.org", "other.test", "C.Example.Org"):
            assert (await ask(server, name)).answer == [f"{name}. 300 A 192.0.2.1"]
        assert plugin.met == 1
        assert (await ask(server, "a.example.org", "AAAA")).rcode == "NOERROR"
        assert plugin.met == 2
        assert listener(server).pending == 0


def drawn_reply(packet: bytes) -> bytes:
    """What an upstream might say to a question: always the same to the same one, whatever its id."""
    end, question = question_end(packet), packet[2:12] + packet[12:].lower()
    drawn = random.Random(question)
    flags, counts, records = drawn.choice(_SHAPES)
    numbers = b"".join(number.to_bytes(2, "big") for number in (flags, 1, *counts))
    wire = packet[:2] + numbers + packet[12:end] + (records and records + bytes((drawn.randrange(256),)))
    match drawn.randrange(30):
        case 0:
            return wire[: drawn.randrange(end, len(wire) + 1)]
        case 1:
            return wire + b"x"
        case 2:
            return packet[:2] + b"\x80\1" + bytes(8)
        case _:
            return wire


FORMS: tuple[dict[str, Any], ...] = (
    *({},) * 10,
    {"flags": 0},
    {"flags": codes.RD | codes.CD | codes.AD},
    {"edns": Edns(1232)},
    {"edns": Edns(4096, do=True)},
    {"edns": Edns(1232, options=((codes.OPTION_COOKIE, bytes(8)),))},
    {"edns": Edns(1232, options=((codes.OPTION_SUBNET, b"\0\1\x18\0\xc0\0\2"),))},
)


def some_packets(seed: int) -> Iterator[bytes]:
    drawn = random.Random(seed)
    for _ in range(400):
        name = (
            drawn.choice(("www", "a.b", "xn--a"))
            + str(drawn.randrange(200))
            + drawn.choice((".example.org", ".example.org", ".test", ""))
        )
        spelled = names.parse_keeping_case(drawn.choice((name, name, name.title())))
        packet = query(
            spelled,
            drawn.choice((*(codes.A,) * 6, codes.AAAA, codes.SRV, codes.TXT)),
            id=drawn.randrange(65536),
            **drawn.choice(FORMS),
        )
        if not drawn.randrange(20):
            at = drawn.randrange(3, len(packet))
            packet = packet[:at] + bytes((drawn.randrange(256),)) + packet[at + drawn.randrange(2) :]
        yield packet


async def exchanged(client: Udp, server: Server, packet: bytes) -> bytes:
    wire, _ = await client.exchange(packet, ("127.0.0.1", server.port))
    return wire


def said(wire: bytes) -> object:
    """What a reply means, whatever the order of several addresses and the compression of its names."""
    if wire[4:6] != b"\0\1":
        return wire
    read = testing.read(wire)
    return wire[:12], read.rcode, sorted(read.answer), sorted(read.authority), sorted(read.additional), read.edns


def caches(server: Server) -> list[Cache]:
    assert server.configuration is not None
    return [plugin for plugin in server.configuration.plugins if isinstance(plugin, Cache)]


def kept(server: Server) -> object:
    """What a cache holds: under which keys, the messages, until when, and how often it was served."""
    for _ in server._settling():
        pass  # the gate tells of what it has served
    return [
        {key: (entry.reply.wire[2:], entry.reply.plugin, entry.end, entry.last, entry.hits, entry.fetched)}
        for plugin in caches(server)
        for shelf in (plugin.success, plugin.denial)
        for store in (shelf._small, shelf._main)
        for key, entry in sorted(store.items())
        if isinstance(entry.reply, Forwarded)
    ]


@pytest.mark.parametrize(
    "directives",
    [
        "",
        "errors\nloadbalance\nloop",
        "minimal\nnsid here\nloadbalance",
        "bufsize 600\nany\nchaos",
        "errors\nhosts {\n192.0.2.7 www7.example.org\nfallthrough\n}",
        "cache 30\nloadbalance",
        "cache {\nserve_stale\nprefetch 1\nservfail 0\n}",
        "cache 60 example.org",
        "cache {\ndisable success test\nsuccess 9984 3600 5\nkeepttl\n}",
    ],
)
@pytest.mark.parametrize("seed", range(2))
async def test_what_is_passed_back_is_what_the_chain_would_say(
    directives: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(packet: bytes, transport: str) -> Replies:
        return drawn_reply(packet)

    text = directives + "\nforward . {} {\nexcept excepted.net\n}"
    other = "other.net {\nwhoami\n}"
    monkeypatch.setattr(clock, "now", lambda: 1000.0)  # both are to give the same ages; timers go on
    async with Upstream(behave) as first, Upstream(behave) as second:
        async with forwarding(text, first, more=other) as learned, forwarding(text, second, more=other) as fresh:
            counts = met(learned), met(fresh)
            with Udp() as client:
                for packet in some_packets(seed):
                    forget(fresh)
                    wires = [await exchanged(client, server, packet) for server in (learned, fresh)]
                    assert said(wires[0]) == said(wires[1]), packet
                assert counts[0].met < counts[1].met
                assert kept(learned) == kept(fresh)
        # `loop` has asked each server for a name of its own.
        sent = [
            [packet[2:] for packet, *_ in upstream.asked if packet[question_end(packet) - 3] != codes.HINFO]
            for upstream in (first, second)
        ]
        assert sent[0] == sent[1]


@pytest.mark.parametrize(
    "bad",
    [silence, lambda packet, transport: reply(packet) + b"x", lambda packet, transport: reply(packet, rcode=2)],
    ids=["silent", "malformed", "failing"],
)
async def test_what_the_first_upstream_does_not_answer_well_the_second_does(bad: Behaviour) -> None:
    directives = "forward . {} {\npolicy sequential\nread_timeout 50ms\nfailover SERVFAIL\n}"

    def second(packet: bytes, transport: str) -> Replies:
        return reply(packet, "192.0.2.2")

    async with Upstream() as first, Upstream(second) as other, forwarding(directives, first, other) as server:
        assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.1"]
        first.behave = bad
        assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.2"]
        assert len(other.asked) == 1
        assert listener(server).pending == 0


async def test_a_record_that_is_like_an_address_in_all_but_where_its_length_stands_is_looked_at_whole() -> None:
    def behave(packet: bytes, transport: str) -> Replies:
        # The root owns it, so that each of its fields stands an octet earlier than behind a pointer.
        record = b"\0\0\1\0\1\0\0\1\x2c" + (b"\0\5" if b"whole" in packet else b"\1\5") + b"\xc0\0\2\1\0"
        return packet[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + packet[12:] + record

    async with Upstream(behave) as upstream, forwarding("forward . {}", upstream) as server:
        with Udp() as client:
            for name, rcode in (("whole", 0), ("whole", 0), ("short", 2)):
                asked = query(names.parse(f"{name}.example.org"), codes.A, id=7)
                assert (await exchanged(client, server, asked))[3] & 15 == rcode


async def test_what_one_upstream_denies_another_may_know() -> None:
    async with Upstream() as first, Upstream() as second:
        directives = "forward . {} {\npolicy sequential\nfailover NXDOMAIN\n}"
        async with forwarding(directives, first, second) as server:
            await ask(server)
            first.behave = second.behave = lambda packet, transport: reply(packet, rcode=codes.NXDOMAIN)
            assert (await ask(server)).rcode == "NXDOMAIN"
            second.behave = lambda packet, transport: reply(packet, "192.0.2.2")
            assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.2"]


async def test_what_is_truncated_is_asked_for_by_a_stream_each_time() -> None:
    def behave(packet: bytes, transport: str) -> Replies:
        return reply(packet, truncated=b"large" in packet or (b"long" in packet and transport == "udp"))

    async with Upstream(behave) as upstream, forwarding("forward . {} {\nprefer_udp\n}", upstream) as server:
        assert (await ask(server, "small.example.org")).answer
        assert "tc" in (await ask(server, "large.example.org")).flags  # by the stream, too
        assert (await ask(server, "long.example.org")).answer == ["long.example.org. 300 A 192.0.2.1"]


async def test_upstreams_take_turns_whoever_passes_their_replies_back() -> None:
    def two(packet: bytes, transport: str) -> Replies:
        wire = reply(packet)
        return wire[:6] + b"\0\2" + wire[8:] + _A + b"\2"

    async with Upstream() as first, Upstream() as second:
        async with forwarding("forward . {} {\npolicy round_robin\n}", first, second) as server:
            for behave in (first.behave, two):
                first.behave = second.behave = behave
                for _ in range(4):
                    await ask(server)
        assert (len(first.asked), len(second.asked)) == (4, 4)


async def test_when_nobody_answers_the_client_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with Upstream() as mute, forwarding("errors\nforward . {} {\nread_timeout 20ms\n}", mute) as server:
        await ask(server)
        mute.behave = silence
        assert (await ask(server)).rcode == "SERVFAIL"
        assert asked(mute)["www.example.org."] == 3  # as often as the chain would have tried
    assert "no reply within 0.02 s" in caplog.text


async def test_each_client_gets_its_own_answer() -> None:
    async with Upstream() as upstream, forwarding("forward . {}", upstream) as server:
        await ask(server)
        upstream.delay = 0.02
        with ExitStack() as stack:
            clients = [stack.enter_context(Udp()) for _ in range(8)]
            for number, client in enumerate(clients):
                send(client, server, 7, f"host{number % 3}.example.org")
            answers = [testing.read(await client.next()) for client in clients]
        assert [answer.answer for answer in answers] == [
            [f"host{number % 3}.example.org. 300 A 192.0.2.1"] for number in range(8)
        ]


async def test_names_that_belong_to_others_are_not_passed_on(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 held.example.org")
    directives = f"hosts {hosts} example.org {{\nfallthrough\n}}\nforward . {{}} {{\nexcept except.test\n}}"
    passed = ("a.example.org", "b.example.org", "a.test", "b.test", "a.net", "b.net")
    more = "block.test {\nwhoami\n}"
    async with Upstream() as upstream, forwarding(directives, upstream, more=more) as server:
        for name in passed:
            assert (await ask(server, name)).rcode == "NOERROR"
        assert (await ask(server, "held.example.org")).answer == ["held.example.org. 3600 A 192.0.2.7"]
        assert (await ask(server, "www.except.test")).rcode == "SERVFAIL"
        assert (await ask(server, "block.test")).additional
        assert asked(upstream).keys() == {f"{name}." for name in passed}


async def test_a_zone_s_own_name_is_not_passed_on_if_a_wildcard_above_stands_for_it() -> None:
    directives = "hosts {\n192.0.2.7 *.org\nfallthrough\n}\nforward . {}"
    async with Upstream() as upstream, forwarding(directives, upstream) as server:
        for name in ("a.example.org", "b.example.org"):
            assert (await ask(server, name)).answer == [f"{name}. 300 A 192.0.2.1"]
        assert (await ask(server, "example.org")).answer == ["example.org. 3600 A 192.0.2.7"]


async def test_a_name_that_a_plugin_in_front_has_learned_of_is_passed_on_no_more() -> None:
    async with Upstream() as upstream, forwarding("forward . {}", upstream) as server:
        plugin = met(server)
        plugin.keep = Keep.while_(stamp := Stamp())
        for _ in range(3):
            await ask(server)
        assert plugin.met == 1
        stamp.retire()
        plugin.keep = Keep.while_(Stamp())
        for _ in range(3):
            await ask(server)
        assert plugin.met == 2


class Owns(Plugin):
    """Answers for one name, and tells nobody which."""

    name = "owns"

    def at_once(self, query: Query) -> Turn:
        return Reply(codes.NXDOMAIN) if query.name == names.parse("mine.example.org") else HAND_ON


async def test_who_does_not_say_that_names_pass_alike_is_always_asked() -> None:
    async with Upstream() as upstream, forwarding("forward . {}", upstream) as server:
        assert server.configuration is not None
        block = server.configuration.blocks[0]
        block.plugins.insert(0, Owns())
        join(block)
        for name, rcode in (("a", "NOERROR"), ("b", "NOERROR"), ("mine", "NXDOMAIN"), ("a", "NOERROR")):
            assert (await ask(server, f"{name}.example.org")).rcode == rcode


async def test_a_reload_forgets_who_was_asked() -> None:
    text = ". {\nforward . ADDRESS\n}"
    async with Upstream() as first, Upstream(lambda packet, transport: reply(packet, "192.0.2.2")) as second:
        told = [text.replace("ADDRESS", first.address)]
        server = Server(lambda known: testing.on_loopback(corefile.parse(told[0], known=known)), port=0)
        async with server:
            for _ in range(2):
                assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.1"]
            first.delay = 0.05
            with Udp() as client:
                send(client, server, 9)
                await until(lambda: len(first.asked) == 3)
                told[0] = text.replace("ADDRESS", second.address)
                await server.reload()
                assert await client.id() == 9
            assert (await ask(server)).answer == ["www.example.org. 300 A 192.0.2.2"]


async def test_made_up_top_level_domains_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "_ZONES", 8)
    async with (
        Upstream() as upstream,
        forwarding("hosts {\n192.0.2.1 a.test\nfallthrough\n}\nforward . {}", upstream) as server,
    ):
        for number in range(40):
            assert (await ask(server, f"a.made-up-{number}")).rcode == "NOERROR"
        assert all(len(zones) <= 8 for zones in listener(server)._relays._kinds.values())


async def test_what_is_passed_on_is_counted_as_what_is_answered() -> None:
    async with Upstream() as upstream:
        text = f"counted.test {{\nprometheus 127.0.0.1:0\nforward . {upstream.address}\n}}"
        async with testing.listening(text) as server:
            for number in range(5):
                await ask(server, f"host{number}.counted.test")
            page = metrics.exposition()[1].decode().splitlines()
    counted = {line.split("{")[0]: float(line.split()[-1]) for line in page if 'zone="counted.test."' in line}
    assert counted["coredns_dns_requests_total"] == counted["coredns_dns_responses_total"] == 5
    assert counted["coredns_dns_request_duration_seconds_count"] == 5
    assert counted["coredns_dns_response_size_bytes_sum"] == 5 * (12 + 20 + 4 + 16)
    answered = [line for line in page if line.startswith("coredns_proxy_request_duration_seconds_count")]
    assert [line.split()[-1] for line in answered if upstream.address in line] == ["5.0"]


async def test_what_is_passed_back_is_kept_for_who_asks_next() -> None:
    async with Upstream() as upstream, forwarding("cache 30\nforward . {}", upstream) as server:
        plugin = met(server)
        for name in ("a.example.org", "b.example.org", "B.example.org", "c.example.org"):
            assert (await ask(server, name)).answer == [f"{name}. 30 A 192.0.2.1"]
        assert plugin.met == 2  # the first, and who was asked for again
        assert asked(upstream) == {"a.example.org.": 1, "b.example.org.": 1, "c.example.org.": 1}


async def test_what_has_come_to_its_end_is_passed_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    async with Upstream() as upstream, forwarding("cache 30\nforward . {}", upstream) as server:
        plugin = met(server)
        for name in ("a.example.org", "b.example.org"):
            await ask(server, name)
        now += 31
        assert (await ask(server, "b.example.org")).answer == ["b.example.org. 30 A 192.0.2.1"]
        assert (plugin.met, asked(upstream)["b.example.org."]) == (1, 2)
        now += 10
        assert (await ask(server, "b.example.org")).answer == ["b.example.org. 20 A 192.0.2.1"]
        assert asked(upstream)["b.example.org."] == 2


async def test_who_asks_the_same_meanwhile_waits_for_what_is_passed_back() -> None:
    async with Upstream() as upstream, forwarding("cache 30\nforward . {}", upstream) as server:
        await ask(server, "a.example.org")
        upstream.delay = 0.05
        with Udp() as first, Udp() as second:
            for number, client in enumerate((first, second, first, second)):
                send(client, server, number, "b.example.org")
            for client in (first, second, first, second):
                assert testing.read(await client.next()).answer == ["b.example.org. 30 A 192.0.2.1"]
        assert asked(upstream)["b.example.org."] == 1


async def test_who_waits_for_what_does_not_come_back_asks_again() -> None:
    directives = "cache 30\nforward . {} {\nread_timeout 50ms\n}"
    async with Upstream() as upstream, forwarding(directives, upstream) as server:
        await ask(server, "a.example.org")
        upstream.behave = silence
        with Udp() as first, Udp() as second:
            send(first, server, 1, "b.example.org")
            send(second, server, 2, "b.example.org")
            assert testing.read(await first.next()).rcode == testing.read(await second.next()).rcode == "SERVFAIL"
        upstream.behave = lambda packet, transport: reply(packet)
        assert (await ask(server, "c.example.org")).answer == ["c.example.org. 30 A 192.0.2.1"]
        assert not any(plugin.flights for plugin in caches(server))


@pytest.mark.parametrize("ttl", [b"\0\0\0\0", b"\xff\0\0\0", b"\0\0\0\4"], ids=["0", "top bit", "below the least"])
async def test_a_ttl_that_is_not_kept_as_it_is_goes_the_long_way(ttl: bytes) -> None:
    def behave(packet: bytes, transport: str) -> Replies:
        return reply(packet).replace(b"\0\0\1\x2c\0\4", ttl + b"\0\4")

    async with Upstream() as upstream, forwarding("cache {\nsuccess 100 30 5\n}\nforward . {}", upstream) as server:
        plugin = met(server)
        await ask(server, "a.example.org")
        upstream.behave = behave
        before = plugin.met
        said = [(await ask(server, "b.example.org")).answer for _ in range(2)]
        expected = "5" if ttl.endswith(b"\4") else "0"
        assert said == [[f"b.example.org. {expected} A 192.0.2.1"]] * 2
        assert plugin.met > before
        assert asked(upstream)["b.example.org."] == (1 if expected == "5" else 2)


async def test_a_plugin_in_front_that_waits_and_keeps_nothing_sees_every_query() -> None:
    class Waits(Plugin):
        name = "waits"
        begun = 0

        def passes(self, zone: bytes) -> Keep:
            return HAND_ON

        def at_once(self, query: Query) -> Turn:
            return HAND_ON

        def amend(self, query: Query, reply: Reply) -> Reply:
            return reply

        async def answer(self, query: Query, rest: Rest) -> Reply:
            return await rest(query)

        def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
            self.begun += 1
            assert behind is not None
            assert behind.begin is not None
            return behind.begin(query, wake, behind.behind)

    async with Upstream() as upstream, forwarding("forward . {}", upstream) as server:
        assert server.configuration is not None
        block, plugin = server.configuration.blocks[0], Waits()
        block.plugins.insert(0, plugin)
        join(block)
        for name in ("a.example.org", "b.example.org"):
            assert (await ask(server, name)).answer == [f"{name}. 300 A 192.0.2.1"]
        assert plugin.begun == 2
