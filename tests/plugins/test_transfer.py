"""transfer: whole zones for those who may have them, each as it was at one moment."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Self

import dns.asyncquery
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, rdata, testing
from pydnsk8s.message import Client, Query, Record, Reply
from pydnsk8s.plugin import Plugin
from pydnsk8s.plugins import transfer
from pydnsk8s.plugins.transfer import Transfer, _newer
from pydnsk8s.testing import Answer, record, text

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query

ZONE = [
    record("example.org. 300 SOA ns.example.org. hostmaster.example.org. 7 7200 1800 86400 300"),
    record("example.org. 300 NS ns.example.org."),
    record("ns.example.org. 300 A 192.0.2.53"),
    record("www.example.org. 300 AAAA 2001:db8::80"),
]


class Zones(Plugin):
    """Holds zones as ``file`` would."""

    name = "zones"

    def __init__(self, **zones: list[Record]) -> None:
        self.zones = {names.parse(name.replace("_", ".")): records for name, records in zones.items()}

    def transfer(self, zone: bytes) -> Iterator[Record] | None:
        return iter(self.zones[zone]) if zone in self.zones else None


async def made(directives: str, *holders: Plugin, keys: str = ".:0") -> Transfer:
    found = plugin(Transfer, directives, keys)
    found._block.plugins += holders or (Zones(example_org=ZONE),)
    await found.start()
    return found


def asked(
    name: str, type: str = "AXFR", *, client: str = "192.0.2.1", by: str = "tcp", serial: int | None = None
) -> Query:
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    found = query(name, type, client=Client(socket.inet_pton(family, client), 40000, by))
    found.serial = serial
    return found


async def copied(found: Transfer, question: Query) -> tuple[list[Record], list[Reply]]:
    """All records of the answer, and its messages."""
    first = await found.answer(question, elsewhere)
    replies = [first, *(first.more or ())]
    return [held for reply in replies for held in reply.answer], replies


async def rcode(found: Transfer, question: Query) -> str:
    reply = await found.answer(question, elsewhere)
    return "elsewhere" if reply is ELSEWHERE else codes.rcode_name(reply.rcode)


async def test_a_zone_begins_and_ends_with_its_soa() -> None:
    found = await made("transfer {\nto *\n}")
    records, [reply] = await copied(found, asked("example.org"))
    assert records == [*ZONE, ZONE[0]]
    assert reply.authoritative
    assert reply.plugin == "transfer"


async def test_a_zone_of_nothing_but_its_soa_is_sent_too() -> None:
    found = await made("transfer {\nto *\n}", Zones(example_org=ZONE[:1]))
    assert (await copied(found, asked("example.org")))[0] == [ZONE[0], ZONE[0]]


async def test_a_large_zone_comes_in_messages_of_a_good_size() -> None:
    many = [Record(names.parse(f"host-{number}.example.org"), codes.A, 5, bytes(4)) for number in range(20_000)]
    async with testing.serving("example.org {\ntransfer {\nto *\n}\nwhoami\n}") as dns:
        found = next(held for held in dns.plugins if isinstance(held, Transfer))
        found._sources = (Zones(example_org=[ZONE[0], *many]),)
        answers = await dns.transfer("example.org")
    assert [line for answer in answers for line in answer.answer] == [text(held) for held in (ZONE[0], *many, ZONE[0])]
    assert all(8_000 < len(answer.wire) < 65_536 for answer in answers[:-1])
    assert not any("tc" in answer.flags for answer in answers)


async def test_large_records_are_spread_over_messages_that_can_be_sent() -> None:
    texts = [rdata.txt(letter.encode() * size) for letter, size in (("a", 30_000), ("b", 60_000), ("c", 2_000))]
    many = [Record(names.parse("text.example.org"), codes.TXT, 5, data) for data in texts]
    async with testing.serving("example.org {\ntransfer {\nto *\n}\nwhoami\n}") as dns:
        found = next(held for held in dns.plugins if isinstance(held, Transfer))
        found._sources = (Zones(example_org=[ZONE[0], *many]),)
        answers = await dns.transfer("example.org")
    assert [line for answer in answers for line in answer.answer] == [text(held) for held in (ZONE[0], *many, ZONE[0])]


@pytest.mark.parametrize(
    ("serial", "what"), [(7, "soa"), (8, "soa"), (6, "zone"), (0, "zone"), (2**32 - 1, "zone"), (2**31 + 7, "zone")]
)
async def test_ixfr_gives_the_zone_to_those_who_are_behind_only(serial: int, what: str) -> None:
    found = await made("transfer {\nto *\n}")
    records, _ = await copied(found, asked("example.org", "IXFR", serial=serial))
    assert records == (ZONE[:1] if what == "soa" else [*ZONE, ZONE[0]])


async def test_ixfr_without_the_clients_soa_is_malformed() -> None:
    assert await rcode(await made("transfer {\nto *\n}"), asked("example.org", "IXFR")) == "FORMERR"


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_serials_go_round(serial: int, further: int) -> None:
    # RFC 1982 section 3.1: what is added is less than half of the circle.
    later = (serial + further) % 2**32
    assert _newer(later, serial)
    assert not _newer(serial, later)
    assert not _newer(serial, serial)


@pytest.mark.parametrize(
    ("to", "client", "expected"),
    [
        ("192.0.2.1", "192.0.2.1", "NOERROR"),
        ("192.0.2.1", "192.0.2.2", "REFUSED"),
        ("192.0.2.1:5353", "192.0.2.1", "NOERROR"),
        ("192.0.2.9 192.0.2.1", "192.0.2.1", "NOERROR"),
        ("2001:db8::0:1", "2001:db8::1", "NOERROR"),
        ("[2001:db8::1]:53", "2001:db8::1", "NOERROR"),
        ("2001:db8::1", "2001:db8::2", "REFUSED"),
        ("*", "2001:db8::2", "NOERROR"),
        ("192.0.2.1 *", "192.0.2.2", "NOERROR"),
    ],
)
async def test_only_who_is_admitted_gets_the_zone(to: str, client: str, expected: str) -> None:
    found = await made(f"transfer {{\nto {to}\n}}")
    for type in ("AXFR", "IXFR"):
        assert await rcode(found, asked("example.org", type, client=client, serial=1)) == expected


@pytest.mark.parametrize(
    ("by", "expected"), [("udp", "REFUSED"), ("https", "REFUSED"), ("tcp", "NOERROR"), ("tls", "NOERROR")]
)
async def test_a_stream_is_needed(by: str, expected: str) -> None:
    found = await made("transfer {\nto *\n}")
    for type in ("AXFR", "IXFR"):
        assert await rcode(found, asked("example.org", type, by=by, serial=1)) == expected


async def test_the_longest_zone_says_who_is_admitted() -> None:
    found = await made(
        "transfer org {\nto 192.0.2.1\n}\ntransfer example.org {\nto 192.0.2.2\n}",
        Zones(example_org=ZONE, org=ZONE),
    )
    admitted = [
        (zone, client)
        for zone, client in itertools.product(("org", "example.org"), ("192.0.2.1", "192.0.2.2"))
        if await rcode(found, asked(zone, client=client)) == "NOERROR"
    ]
    assert admitted == [("org", "192.0.2.1"), ("example.org", "192.0.2.2")]


async def test_what_is_said_of_a_zone_adds_up() -> None:
    found = await made("transfer example.org {\nto 192.0.2.1\n}\ntransfer example.org {\nto 192.0.2.2\n}")
    for client in ("192.0.2.1", "192.0.2.2"):
        assert await rcode(found, asked("example.org", client=client)) == "NOERROR"
    assert await rcode(found, asked("example.org", client="192.0.2.3")) == "REFUSED"


@pytest.mark.parametrize(
    ("name", "type"),
    [("www.example.org", "AXFR"), ("example.net", "AXFR"), ("example.org", "A"), ("example.org", "ANY")],
)
async def test_what_is_no_transfer_of_a_zone_here_goes_on(name: str, type: str) -> None:
    assert await rcode(await made("transfer example.org {\nto *\n}"), asked(name, type)) == "elsewhere"


async def test_the_first_plugin_that_has_the_zone_gives_it() -> None:
    found = await made("transfer {\nto *\n}", Zones(example_net=[]), Zones(example_org=ZONE), Zones(example_org=[]))
    assert await rcode(found, asked("example.org")) == "NOERROR"


async def test_a_zone_that_is_not_known_yet_fails_and_says_why() -> None:
    found = await made("transfer {\nto *\n}", Zones(example_org=[]))
    reply = await found.answer(asked("example.org"), elsewhere)
    assert (reply.rcode, reply.error) == (codes.SERVFAIL, "the zone is not known yet")


async def test_so_many_transfers_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_MOST", 3)
    found = await made("transfer {\nto *\n}")
    under_way = [await found.answer(asked("example.org"), elsewhere) for _ in range(3)]
    assert await rcode(found, asked("example.org")) == "SERVFAIL"
    assert await rcode(found, asked("example.org", "IXFR", serial=7)) == "NOERROR"  # that is one record only
    assert list(under_way.pop().more or ()) == []
    assert await rcode(found, asked("example.org")) == "NOERROR"
    under_way.clear()
    assert [await rcode(found, asked("example.org")) for _ in range(5)] == ["NOERROR"] * 5


async def test_a_block_without_zones_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    found = plugin(Transfer, "transfer {\nto *\n}")
    await found.start()
    assert "has zones to transfer" in caplog.text


@pytest.mark.parametrize(
    ("directives", "message"),
    [
        ("transfer", "to whom is missing"),
        ("transfer example.org {\n}", "to whom is missing"),
        ("transfer {\nsource 192.0.2.1\n}", "to whom is missing"),
        ("transfer {\nto\n}", "expected: to *|IP[:PORT]..."),
        ("transfer {\nto ns.example.org\n}", "expected * or an IP address"),
        ("transfer {\nto tls://192.0.2.1\n}", "expected * or an IP address"),
        ("transfer {\nto 192.0.2.1:0\n}", "expected a port from 1 to 65535"),
        ("transfer {\nto 192.0.2.0/24\n}", "/24"),
        ("transfer {\nto *\nsource\n}", "expected: source IP"),
        ("transfer {\nto *\nsource example.org\n}", "example.org"),
        ("transfer {\nto *\nfrom 192.0.2.1\n}", "unknown option 'from'"),
        ("transfer a..b {\nto *\n}", "not a domain name"),
    ],
)
def test_what_cannot_be_is_an_error(directives: str, message: str) -> None:
    assert message in errors(directives)


def test_the_zones_are_those_of_the_block_unless_given() -> None:
    given = plugin(Transfer, "transfer example.net {\nto *\n}", "example.org:0")
    assert set(given.terms) == {names.parse("example.net")}
    assert set(plugin(Transfer, "transfer {\nto *\n}", "example.org:0 10.0.0.0/8:0").terms) == {
        names.parse("example.org"),
        names.parse("10.in-addr.arpa"),
    }


async def test_a_library_can_copy_the_zone() -> None:
    async with testing.listening("example.org {\ntransfer {\nto 127.0.0.1\n}\nwhoami\n}") as server:
        assert server.configuration is not None
        found = next(held for held in server.configuration.plugins if isinstance(held, Transfer))
        found._sources = (Zones(example_org=ZONE),)
        zone = dns.zone.Zone("example.org")
        await dns.asyncquery.inbound_xfr("127.0.0.1", zone, port=server.port, timeout=5, lifetime=5)
        assert {str(name) for name in zone} == {"@", "ns", "www"}
        assert zone.get_rdataset("@", dns.rdatatype.SOA) is not None


class Secondary:
    """Somebody who is told of changes, and replies with what is set."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.rcode: int | None = codes.NOERROR
        self.told: list[bytes] = []
        self.tellers: list[tuple[str, int]] = []

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self.socket, self.listen)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def listen(self) -> None:
        packet, teller = self.socket.recvfrom(512)
        self.told.append(packet)
        self.tellers.append(teller)
        if self.rcode is not None:
            self.socket.sendto(packet[:2] + bytes((packet[2] | 0x80, self.rcode)) + packet[4:], teller)


@asynccontextmanager
async def notifying(more: str = "") -> AsyncIterator[tuple[Transfer, Secondary]]:
    with Secondary() as secondary:
        found = await made(f"transfer example.org {{\nto 127.0.0.1:{secondary.port}\n{more}\n}}")
        try:
            yield found, secondary
        finally:
            await found.stop()


async def done(found: Transfer) -> None:
    await asyncio.gather(*found._notifying.values())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydnsk8s.plugins.transfer.notify._WAITS", (0.02, 0.02, 0.02))


async def test_a_changed_zone_is_told_to_its_secondaries() -> None:
    async with notifying() as (found, secondary):
        assert found._block.notify is not None
        found._block.notify(names.parse("example.org"))
        await done(found)
        [packet] = secondary.told
        # RFC 1996 section 3: opcode NOTIFY, AA, and the zone's SOA in question.
        assert packet[2:] == bytes.fromhex("2400 0001 0000 0000 0000") + names.parse("example.org") + b"\0\6\0\1"


@pytest.mark.usefixtures("hasty")
async def test_who_does_not_reply_is_told_again_and_then_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with notifying() as (found, secondary):
        secondary.rcode = None
        found.notify(names.parse("example.org"))
        await done(found)
        assert len(secondary.told) == 3
        assert len(set(secondary.told)) == 1
        assert f"could not notify 127.0.0.1:{secondary.port} of example.org.: no reply" in caplog.text


async def test_who_does_not_want_to_know_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with notifying() as (found, secondary):
        secondary.rcode = codes.NOTAUTH
        found.notify(names.parse("example.org"))
        await done(found)
        assert len(secondary.told) == 1
        assert "example.org.: NOTAUTH" in caplog.text


async def test_it_is_told_from_the_source_given() -> None:
    async with notifying("source 127.0.0.7\nsource 2001:db8::7") as (found, secondary):
        found.notify(names.parse("example.org"))
        await done(found)
        assert secondary.tellers[0][0] == "127.0.0.7"


async def test_a_source_that_is_not_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with notifying("source 192.0.2.77") as (found, secondary):
        found.notify(names.parse("example.org"))
        await done(found)
        assert not secondary.told
        assert "could not notify" in caplog.text


async def test_a_second_change_takes_the_place_of_the_first() -> None:
    async with notifying() as (found, secondary):
        secondary.rcode = None
        for _ in range(5):
            found.notify(names.parse("example.org"))
        assert len(found._notifying) == 1
        secondary.rcode = codes.NOERROR
        await done(found)
        assert not found._notifying


async def test_other_zones_and_everybody_are_told_nothing() -> None:
    async with notifying() as (found, _):
        found.notify(names.parse("example.net"))
        assert not found._notifying
    anyone = await made("transfer {\nto *\n}")
    anyone.notify(names.parse("example.org"))
    assert not anyone._notifying


async def test_stopping_ends_what_is_being_told() -> None:
    async with notifying() as (found, secondary):
        secondary.rcode = None
        found.notify(names.parse("example.org"))
        await asyncio.sleep(0)
        await found.stop()
        assert len(asyncio.all_tasks()) == 1


async def test_nothing_of_it_is_replayed() -> None:
    async with testing.serving("example.org {\ntransfer {\nto 192.0.2.1\n}\nwhoami\n}") as dns:
        found = next(held for held in dns.plugins if isinstance(held, Transfer))
        found._sources = (Zones(example_org=ZONE),)
        for _ in range(3):
            assert not (await dns.ask("example.org", "AXFR", client="192.0.2.1")).replayed
            answers: list[Answer] = await dns.transfer("example.org", client="192.0.2.1")
            assert len(answers[0].answer) == len(ZONE) + 1


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5000), max_size=60))
async def test_no_record_is_lost_between_messages(sizes: list[int]) -> None:
    records = [Record(names.parse(f"{n}.example.org"), codes.TXT, 5, bytes(size)) for n, size in enumerate(sizes)]
    found = await made("transfer {\nto *\n}", Zones(example_org=[ZONE[0], *records]))
    copy, replies = await copied(found, asked("example.org"))
    assert copy == [ZONE[0], *records, ZONE[0]]
    assert all(reply.answer for reply in replies)
    assert not any(reply.keep.alive for reply in replies)
