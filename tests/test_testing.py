"""What tests of plugins, ours and yours, lean on."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given

from pydnsk8s import ALWAYS, NEVER, Edns, Keep, Query, Record, Reply, Stamp, clock, codes, names, testing
from tests import strategies as draw

HOSTS = "example.org {\nhosts {\n192.0.2.1 a.example.org\n}\n}"


async def test_a_corefile_is_served_in_memory() -> None:
    async with testing.serving(HOSTS) as dns:
        answer = await dns.ask("A.example.org", edns=Edns())
        assert answer.answer == ["A.example.org. 3600 A 192.0.2.1"]
        assert (answer.rcode, answer.flags, answer.edns) == ("NOERROR", frozenset({"qr", "aa", "rd"}), True)
        assert not answer.replayed
        assert (await dns.ask("a.example.org", edns=Edns())).replayed


async def test_several_addresses_can_be_asked() -> None:
    async with testing.serving(HOSTS + "\nexample.com:1053 {\nwhoami\n}") as dns:
        assert list(dns.ports) == [("", 53), ("", 1053)]
        assert (await dns.ask("example.com")).rcode == "REFUSED"
        answer = await dns.ask("example.com", client="2001:db8::1", tcp=True, at=("", 1053))
        assert answer.additional == ["example.com. 0 AAAA 2001:db8::1", "_tcp.example.com. 0 SRV 0 0 40000 ."]


async def test_any_packet_can_be_sent() -> None:
    async with testing.serving(HOSTS) as dns:
        with pytest.raises(TimeoutError):
            await dns.send(b"short")
        refusal = await dns.send(b"\0\1\0\0" + bytes(8))
        assert (refusal.rcode, refusal.answer) == ("FORMERR", [])


async def test_a_corefile_listens_on_a_free_port_whatever_it_says() -> None:
    async with testing.listening("example.org:53 {\nbind 127.0.0.9\nwhoami\n}") as server:
        assert list(server.ports) == [("127.0.0.1", 0)]
        assert server.port > 1023


async def test_a_stopped_clock_moves_when_told() -> None:
    async with testing.stopped_clock() as standing:
        before = clock.now()
        sleeper = asyncio.create_task(asyncio.sleep(60))
        await standing.advance(0)
        await standing.advance(59)
        assert not sleeper.done()
        await standing.advance(1)
        assert sleeper.done()
        assert clock.now() - before == 60
    assert clock.now() - before < 60


class Told:
    """A back end with one fact and the keep it claims."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.fact = b"\xc0\0\2\1"

    async def rest(self, query: Query) -> Reply:
        return Reply(answer=[Record(query.name, codes.A, 5, self.fact)], keep=self.keep)

    def change(self) -> None:
        self.fact = b"\xc0\0\2\2"


async def test_a_keep_that_promises_too_much_is_found() -> None:
    question = Query(names.parse("example.org"), codes.A)
    liar = Told(ALWAYS)
    assert await testing.honest(liar.rest, [question], liar.change) == [question]
    modest = Told(NEVER)
    assert await testing.honest(modest.rest, [question], modest.change) == []
    stamp = Stamp()
    stamped = Told(Keep.while_(stamp))

    async def change() -> None:
        stamped.change()
        stamp.retire()

    assert await testing.honest(stamped.rest, [question], change) == []


@given(draw.record_sets())
def test_a_record_and_its_line_lead_to_each_other(records: list[Record]) -> None:
    for record in records:
        assert testing.record(testing.text(record)) == record


def test_another_class_is_named() -> None:
    assert testing.text(Record(names.parse("a"), codes.A, 0, bytes(4), codes.CH)).startswith("a. 0 CH A ")
