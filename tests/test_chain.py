"""Plugins in a row: asked at once where they know, waited for where one does not, with the same answer either way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pydnsk8s import codes, names, testing
from pydnsk8s.chain import link
from pydnsk8s.keep import ALWAYS, NEVER, Keep, Stamp
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, Turn

CLUSTER = Path(__file__).parents[1] / "docker" / "cluster.example.yaml"
BLOCKS = {
    "acl": "acl {\n block type TXT\n}\nwhoami",
    "any": "any\nwhoami",
    "chaos": "chaos\nwhoami",
    "hosts": "hosts {\n 192.0.2.1 web.default.svc.cluster.local\n fallthrough\n}\nwhoami",
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
        return Reply(codes.NOERROR, error="waited ")


QUERY = Query(names.parse("www.example.org"), codes.A)
FOUND = Reply(error="found ", keep=ALWAYS)


async def test_what_all_know_needs_no_waiting() -> None:
    chain = link([Marks("a"), Knows(HAND_ON), Marks("b"), Knows(FOUND), Marks("c"), Waits()])
    reply = chain.at_once(QUERY)
    assert reply is not None
    assert reply.error == "found ba"
    assert (await chain.answer(QUERY)).error == "found ba"


async def test_who_has_to_be_waited_for_is_not_passed_over() -> None:
    for plugins in ([Waits(), Knows(FOUND)], [Knows(WAIT), Knows(FOUND)], [Knows(HAND_ON), Waits()]):
        assert link(plugins).at_once(QUERY) is None
    assert (await link([Marks("a"), Waits(), Knows(FOUND)]).answer(QUERY)).error == "waited a"


@pytest.mark.parametrize("marks", [[], [Marks("a")]])
async def test_what_was_handed_on_holds_no_longer_than_that(marks: list[Plugin]) -> None:
    stamp = Stamp()
    chain = link([*marks, Knows(Keep.while_(stamp)), Knows(FOUND)])
    replies = [chain.at_once(QUERY), await chain.answer(QUERY)]
    assert all(reply is not None and reply.keep.alive for reply in replies)
    stamp.retire()
    assert not any(reply is not None and reply.keep.alive for reply in replies)


async def test_nobody_knowing_is_left_to_the_end_of_the_chain() -> None:
    chain = link([Marks("a"), Knows(HAND_ON)])
    assert chain.at_once(QUERY) is None
    assert (await chain.answer(QUERY)).rcode == codes.SERVFAIL
    assert (await link([]).answer(QUERY)).rcode == codes.REFUSED


@pytest.mark.parametrize("directive", BLOCKS)
async def test_both_ways_say_the_same(directive: str) -> None:
    async with testing.serving(f".:53 {{\n{BLOCKS[directive]}\n}}") as dns:
        chain = link(dns.plugins)
        answered = 0
        for name in NAMES:
            for type in TYPES:
                query = Query(names.parse(name), type)
                at_once = chain.at_once(query)
                if at_once is not None:
                    answered += 1
                    assert said(at_once) == said(await chain.answer(query))
        assert answered > len(NAMES)


def said(reply: Reply) -> tuple[object, ...]:
    keep = reply.keep
    kept = keep.alive, keep.seconds, keep.prefix4, keep is NEVER
    return reply.rcode, reply.authoritative, reply.records, reply.options, reply.plugin, kept
