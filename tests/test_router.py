"""Which block answers, and what happens when its plugins fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.chain import link
from pydnsk8s.configuration import configure
from pydnsk8s.corefile import parse
from pydnsk8s.keep import ALWAYS, Keep, Stamp
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Chain, Later, Plugin, Rest, Stop, Turn
from pydnsk8s.router import Router
from pydnsk8s.wire import FormError
from tests import strategies as draw

ZONES = [names.parse(text) for text in (".", "org", "example.org", "a.example.org", "b.a.example.org", "example.com")]


class Faulty(Plugin):
    """Raises what it is told to."""

    name = "faulty"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def answer(self, query: Query, rest: Rest) -> Reply:
        raise self.error


def router(text: str, plugin: Plugin | None = None) -> Router:
    """The router of a Corefile; the plugin answers in its first block instead of what is written."""
    configuration = configure(parse(text))
    if plugin is not None:
        block = configuration.blocks[0]

        async def chain(query: Query) -> Reply:
            return await plugin.answer(query, chain)

        block.chain = Chain(Stop(None, (), Later(chain)))
    return next(iter(configuration.routers.values()))


def query(name: str, type: int = codes.A, klass: int = codes.IN) -> Query:
    return Query(names.parse(name), type, klass)


@given(st.lists(st.sampled_from(ZONES), min_size=1, unique=True), draw.wire_names)
def test_the_longest_zone_that_holds_the_name_answers(zones: list[bytes], name: bytes) -> None:
    served = router("\n".join(f"{names.text(zone)} {{\nwhoami\n}}" for zone in zones))
    site = served.find(Query(name, codes.A))
    assert (site.zone if site else None) == names.closest(name, tuple(zones))


@pytest.mark.parametrize(
    ("zones", "name", "zone"),
    [
        (["example.org", "sub.example.org"], "sub.example.org", "example.org."),
        (["sub.example.org"], "sub.example.org", "sub.example.org."),
        (["example.org", "sub.example.org"], "x.sub.example.org", "sub.example.org."),
        ([".", "example.org"], ".", "."),
    ],
)
def test_the_ds_record_is_asked_of_the_parent(zones: list[str], name: str, zone: str) -> None:
    served = router("\n".join(f"{zone} {{\nwhoami\n}}" for zone in zones))
    site = served.find(query(name, codes.DS))
    assert site is not None
    assert names.text(site.zone) == zone


async def test_a_fault_in_a_plugin_costs_one_query(caplog: pytest.LogCaptureFixture) -> None:
    served = router("example.org {\nwhoami\n}", Faulty(ZeroDivisionError("oops")))
    with caplog.at_level("ERROR", "pydnsk8s"):
        reply = await served.ask(query("example.org"))
    assert reply.rcode == codes.SERVFAIL
    assert not reply.keep.alive
    assert "ZeroDivisionError" in reply.error
    assert "oops" in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_stack_is_logged_on_demand(caplog: pytest.LogCaptureFixture) -> None:
    served = router("example.org {\nerrors {\nstacktrace\n}\nwhoami\n}", Faulty(ZeroDivisionError("oops")))
    with caplog.at_level("ERROR", "pydnsk8s"):
        await served.ask(query("example.org"))
    assert "Traceback" in caplog.text


async def test_an_upstreams_bad_bytes_are_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    served = router("example.org {\nwhoami\n}", Faulty(FormError("a name runs over the end")))
    reply = await served.ask(query("example.org"))
    assert reply.rcode == codes.SERVFAIL
    assert "bad upstream reply" in reply.error
    assert caplog.records == []


async def test_lookups_that_go_round_end() -> None:
    class Circular(Plugin):
        name = "circular"
        asked = 0

        async def answer(self, query: Query, rest: Rest) -> Reply:
            self.asked += 1
            return await query.lookup(query.name, query.type)

    circular = Circular()
    reply = await router("example.org {\nwhoami\n}", circular).ask(query("example.org"))
    assert reply.rcode == codes.SERVFAIL
    assert 1 < circular.asked < 50


async def test_what_a_filter_let_in_is_kept_as_long_as_its_verdict_holds() -> None:
    class Constant(Plugin):
        name = "constant"

        async def answer(self, query: Query, rest: Rest) -> Reply:
            return Reply(keep=ALWAYS)

    configuration = configure(parse("example.org {\nwhoami\n}"))
    block = configuration.blocks[0]
    block.chain = link([Constant()])
    served = next(iter(configuration.routers.values()))
    reply = await served.ask(query("example.org"))
    assert reply.keep.alive
    verdict = Stamp()
    block.filters.append(lambda query: (query.rd, Keep.while_(verdict)))
    reply = await served.ask(query("example.org"))
    before = reply.keep.alive
    verdict.retire()
    assert (before, reply.keep.alive) == (True, False)
    turned_away = query("example.org").with_(flags=0)
    assert (await served.ask(turned_away)).rcode == codes.REFUSED


async def refuse(query: Query) -> Reply:
    return Reply(codes.REFUSED)


async def test_a_dropped_query_gets_no_reply_and_is_not_remembered() -> None:
    async with testing.serving("example.org {\nerratic {\ndrop 1\n}\n}") as dns:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await dns.ask("example.org")


class Careless(Plugin):
    """Answers with a record that cannot be sent."""

    name = "careless"

    def at_once(self, query: Query) -> Turn:
        return Reply(answer=[Record(query.name, codes.A, -1, b"\xc0\0\2\1")], plugin=self.name)


async def test_a_reply_that_cannot_be_sent_costs_one_query(caplog: pytest.LogCaptureFixture) -> None:
    async with testing.serving("example.org {\nwhoami\n}") as dns:
        (port,) = dns.ports.values()
        port.router.sites[0].block.chain = link([Careless()])
        with caplog.at_level("ERROR", "pydnsk8s"):
            answer = await dns.ask("www.example.org", "A")
        assert answer.rcode == "SERVFAIL"
        assert "plugin/careless gave what cannot be sent" in caplog.text
