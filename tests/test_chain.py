"""Plugins in a row: asked at once where they know, waited for where one does not, with the same answer either way."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from pydnsk8s import codes, corefile, names, testing
from pydnsk8s.chain import ORDER, known, link
from pydnsk8s.corefile import CorefileError
from pydnsk8s.keep import ALWAYS, NEVER, Keep, Stamp
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Later, Plugin, Rest, Take, Turn, Wake, fail

CLUSTER = Path(__file__).parents[1] / "docker" / "cluster.example.yaml"
BLOCKS = {
    "acl": "acl {\n block type TXT\n}\nwhoami",
    "any": "any\nwhoami",
    "chaos": "chaos\nwhoami",
    "hosts": "hosts {\n 192.0.2.1 web.default.svc.cluster.local\n fallthrough\n}\nwhoami",
    "ipname": "ipname cluster.local {\n fallthrough\n}\nwhoami",
    "k8s_external": f"""kubernetes cluster.local {{
        manifests {CLUSTER}
    }}
    k8s_external localhost 10.in-addr.arpa
    whoami""",
    "kubernetes": f"""kubernetes cluster.local 10.in-addr.arpa {{
        manifests {CLUSTER}
        fallthrough 10.in-addr.arpa
    }}
    whoami""",
    "local": "local\nwhoami",
    "whoami": "whoami",
}
NAMES = (
    "web.default.svc.cluster.local",
    "localhost",
    "cluster.local",
    "no.such.svc.cluster.local",
    "1.0.0.10.in-addr.arpa",
)
TYPES = (codes.A, codes.TXT, codes.SOA, codes.ANY, codes.PTR)


class Knows(Plugin):
    """Says at once what it is told to say."""

    name = "knows"

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def at_once(self, query: Query) -> Turn:
        return self.turn


class Marks(Plugin):
    """Writes its letter behind the error text of what others answered."""

    name = "marks"

    def __init__(self, letter: str) -> None:
        self.letter = letter

    def amend(self, query: Query, reply: Reply) -> Reply:
        return reply.with_(error=reply.error + self.letter)


class Waits(Plugin):
    """Answers, but not at once."""

    name = "waits"

    async def answer(self, query: Query, rest: Rest) -> Reply:
        await asyncio.sleep(0)
        return Reply(codes.NOERROR, error="waited ", keep=ALWAYS)


class Holds(Knows):
    """Does the waiting for those behind it, and marks what they answered."""

    def amend(self, query: Query, reply: Reply) -> Reply:
        return reply.with_(error=reply.error + "amended ")

    async def answer(self, query: Query, rest: Rest) -> Reply:
        reply = await rest(query)
        return reply.with_(error=reply.error + "held ")


class Sends(Waits):
    """Waits without a coroutine."""

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        assert behind is None
        return lambda came: Reply(error=came, keep=ALWAYS)


class HoldsOn(Holds):
    """Does the waiting without a coroutine, too."""

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        assert behind is not None
        assert behind.begin is not None
        take = behind.begin(query, wake, behind.behind)
        assert take is not None
        self.behind = behind
        return lambda came: self._take(query, take, came)

    def _take(self, query: Query, take: Take, came: str) -> Reply:
        reply = take(came)
        assert isinstance(reply, Reply)
        self.held = self.behind.amended(query, reply)
        return self.held.with_(error=self.held.error + "held ")


QUERY = Query(names.parse("www.example.org"), codes.A)
FOUND = Reply(error="found ", keep=ALWAYS)


async def test_what_all_know_needs_no_waiting() -> None:
    chain = link([Marks("a"), Knows(HAND_ON), Marks("b"), Knows(FOUND), Marks("c"), Waits()])
    reply = chain.ask(QUERY)
    assert isinstance(reply, Reply)
    assert reply.error == "found ba"


async def test_who_has_to_be_waited_for_is_not_passed_over() -> None:
    for plugins in ([Waits(), Knows(FOUND)], [Knows(WAIT), Knows(FOUND)], [Knows(HAND_ON), Waits()]):
        assert not isinstance(link(plugins).ask(QUERY), Reply)
    assert (await link([Marks("a"), Waits(), Knows(FOUND)]).answer(QUERY)).error == "waited a"


@pytest.mark.parametrize("behind", [Knows(FOUND), Waits()])
async def test_what_was_handed_on_holds_no_longer_than_that(behind: Plugin) -> None:
    stamp = Stamp()
    chain = link([Marks("a"), Knows(Keep.while_(stamp)), Marks("b"), behind])
    reply = await chain.answer(QUERY)
    assert reply.keep.alive
    stamp.retire()
    assert not reply.keep.alive


async def test_who_wants_to_do_the_waiting_does_it_once() -> None:
    for behind in (Waits(), Knows(WAIT)):
        reply = await link([Marks("a"), Holds(HAND_ON), Marks("b"), Knows(HAND_ON), behind]).answer(QUERY)
        assert reply.error.endswith("bheld a")
    reply = await link([Marks("a"), Holds(HAND_ON), Marks("b"), Knows(FOUND)]).answer(QUERY)
    assert reply.error == "found bamended a"


def waited_for(*plugins: Plugin) -> Reply:
    """The reply of those who wait without a coroutine."""
    later = link(plugins).ask(QUERY)
    assert isinstance(later, Later)
    assert later.begin is not None
    take = later.begin(QUERY, lambda _: None, later.behind)
    assert take is not None
    reply = take("came ")
    assert isinstance(reply, Reply)
    return later.amended(QUERY, reply)


def test_without_a_coroutine_everybody_has_his_turn_in_the_same_order() -> None:
    assert waited_for(Marks("a"), Marks("b"), Sends()).error == "came ba"
    assert waited_for(Marks("a"), HoldsOn(HAND_ON), Marks("b"), Sends()).error == "came bheld a"
    twice = HoldsOn(HAND_ON), Marks("b"), HoldsOn(HAND_ON), Marks("c"), Sends()
    assert waited_for(Marks("a"), *twice).error == "came cheld bheld a"


def test_who_waits_for_those_behind_learns_how_long_their_replies_hold() -> None:
    stamp, holding = Stamp(), HoldsOn(HAND_ON)
    reply = waited_for(holding, Knows(Keep.while_(stamp)), Sends())
    stamp.retire()
    assert not reply.keep.alive
    assert not holding.held.keep.alive


def test_what_only_coredns_has_is_told_from_what_nobody_has() -> None:
    for directive in set(ORDER) - known():
        with pytest.raises(CorefileError, match=f"CoreDNS's directive '{directive}' does not exist here"):
            corefile.parse(f". {{\n{directive}\n}}", known=known())


async def test_nobody_knowing_is_left_to_the_end_of_the_chain() -> None:
    chain = link([Marks("a"), Knows(HAND_ON)])
    assert (await chain.answer(QUERY)).rcode == codes.SERVFAIL
    assert (await link([]).answer(QUERY)).rcode == codes.REFUSED


@pytest.mark.parametrize("directive", BLOCKS)
async def test_both_ways_say_the_same(directive: str) -> None:
    async with testing.serving(f".:53 {{\n{BLOCKS[directive]}\n}}") as dns:
        chain, waiting = link(dns.plugins), fail
        for plugin in reversed(dns.plugins):
            waiting = partial(plugin.answer, rest=waiting)
        answered = 0
        for name in NAMES:
            for type in TYPES:
                query = Query(names.parse(name), type)
                at_once = chain.ask(query)
                if isinstance(at_once, Reply):
                    answered += 1
                    assert said(at_once) == said(await waiting(query))
        assert answered > len(NAMES)


def said(reply: Reply) -> tuple[object, ...]:
    keep = reply.keep
    kept = keep.alive, keep.seconds, keep.prefix4, keep is NEVER
    return reply.rcode, reply.authoritative, reply.records, reply.options, reply.plugin, kept
