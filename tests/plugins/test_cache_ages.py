"""cache: whatever is asked, said and waited for, no reply outlives its TTL or answers another question."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import clock, codes
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.testing import stopped_clock

from .upstream import asking, cache, off_the_wire, soa


@dataclass(frozen=True)
class Ask:
    name: int
    type: int
    flags: int
    do: bool
    subnet: bool


@dataclass(frozen=True)
class Say:
    """From now on the upstream says this of every name."""

    kind: str
    ttl: int


steps = st.lists(
    st.one_of(
        st.builds(
            Ask,
            st.integers(0, 7),
            st.sampled_from((codes.A, codes.TXT)),
            st.sampled_from((codes.RD, codes.RD | codes.CD, 0, codes.RD | codes.AD)),
            st.booleans(),
            st.integers(0, 9).map(lambda n: n == 0),
        ),
        st.builds(Say, st.sampled_from(("data", "data", "denial", "failure")), st.sampled_from((0, 1, 5, 40, 7200))),
        st.floats(0, 50),
    ),
    max_size=60,
)


class Book:
    """An upstream that notes what it said to whom and when, by the number each of its replies carries."""

    def __init__(self, *, wire: bool) -> None:
        self.say = Say("data", 60)
        self.notes: list[tuple[tuple[object, ...], float, Say]] = []
        self.wire = wire

    async def __call__(self, query: Query) -> Reply:
        number = len(self.notes)
        self.notes.append((terms(query), clock.now(), self.say))
        data = number.to_bytes(4, "big")
        match self.say.kind:
            case "failure":
                return Reply(codes.SERVFAIL)
            case "denial":
                reply = Reply(codes.NXDOMAIN, authority=[soa(self.say.ttl, 60, number)])
            case _:
                data = data if query.type == codes.A else b"\4" + data
                reply = Reply(answer=[Record(query.name, query.type, self.say.ttl, data)])
        return off_the_wire(query, reply) if self.wire else reply

    def check(self, query: Query, reply: Reply) -> None:
        """The reply is one that was given to this very question and has not outlived itself."""
        now = clock.now()
        if reply.rcode == codes.SERVFAIL:
            failures = [at for key, at, say in self.notes if key == terms(query) and say.kind == "failure"]
            assert now - failures[-1] < 5
            return
        (shown,) = reply.records
        data = shown.data[-4:] if shown.type != codes.SOA else shown.data[-20:-16]
        key, at, said = self.notes[int.from_bytes(data, "big")]
        life = min(said.ttl, 3600 if said.kind == "data" else 60)
        assert key == terms(query)
        assert now == at or now - at < life
        assert shown.ttl == (life - int(now - at) if life else said.ttl)
        assert reply.keep.seconds <= at + life - now


def terms(query: Query) -> tuple[object, ...]:
    subnet = query.edns is not None and bool(query.edns.options)
    return query.name, query.type, query.do, query.flags & (codes.CD | codes.RD), subnet


@settings(deadline=None, max_examples=150)
@given(steps, st.booleans())
def test_whatever_happens_no_reply_outlives_its_ttl_or_answers_another_question(
    steps: list[Ask | Say | float], wire: bool
) -> None:
    asyncio.run(play(steps, Book(wire=wire)))


async def play(steps: list[Ask | Say | float], book: Book) -> None:
    held = cache("success 3", "denial 2")
    async with stopped_clock() as time:
        for step in steps:
            match step:
                case Say():
                    book.say = step
                case float():
                    time.ahead += step
                case Ask():
                    type = codes.type_name(step.type)
                    query = asking(f"{step.name}.example.org", type, flags=step.flags, do=step.do, subnet=step.subnet)
                    reply = await held.answer(query, book)
                    for tally in reply.tallies:
                        tally.add(1)
                    book.check(query, reply)
                    assert len(held.success) <= 3
                    assert len(held.denial) <= 2
