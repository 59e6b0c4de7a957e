"""cache: one question upstream for all who ask it at once, bounded room for all, and the gate in front."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from pydnsk8s import codes, names, rdata
from pydnsk8s.chain import link
from pydnsk8s.keep import EACH_CLIENT
from pydnsk8s.listen.port import Port
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.router import Router
from pydnsk8s.testing import Dns, record, stopped_clock

from .blocks import texts
from .upstream import Upstream, ask, asking, cache

A_60 = "a.example.org. 60 A 192.0.2.1"


async def at_once(held: Cache, upstream: Upstream, count: int) -> list[asyncio.Task[Reply]]:
    """So many questions under way, the upstream still thinking."""
    upstream.open.clear()
    tasks = [asyncio.create_task(ask(held, upstream)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_asks_the_same_at_once_shares_one_answer() -> None:
    held, upstream = cache(), Upstream(A_60)
    tasks = await at_once(held, upstream, 50)
    upstream.open.set()
    assert {tuple(texts((await task).answer)) for task in tasks} == {(A_60,)}
    assert len(upstream.asked) == 1


async def test_answers_that_are_not_kept_are_shared_too() -> None:
    held, upstream = cache(), Upstream(rcode=codes.REFUSED)
    tasks = await at_once(held, upstream, 5)
    upstream.open.set()
    assert [(await task).rcode for task in tasks] == [codes.REFUSED] * 5
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("reply", [Reply(keep=EACH_CLIENT), Reply(truncated=True)], ids=["one network", "truncated"])
async def test_answers_for_one_client_are_not_shared(reply: Reply) -> None:
    held, upstream = cache(), Upstream()
    upstream.reply = reply
    tasks = await at_once(held, upstream, 5)
    upstream.open.set()
    await asyncio.gather(*tasks)
    assert len(upstream.asked) == 5


async def test_when_the_first_to_ask_goes_away_the_next_takes_over() -> None:
    held, upstream = cache(), Upstream(A_60)
    first, *others = await at_once(held, upstream, 4)
    first.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(upstream.asked) == 2
    upstream.open.set()
    assert [texts((await task).answer) for task in others] == [[A_60]] * 3
    assert len(upstream.asked) == 2


async def test_an_exception_reaches_who_asked_and_leaves_nothing_behind() -> None:
    held, upstream = cache(), Upstream(A_60)
    upstream.error = OSError("gone")
    tasks = await at_once(held, upstream, 4)
    upstream.open.set()
    assert all(isinstance(result, OSError) for result in await asyncio.gather(*tasks, return_exceptions=True))
    upstream.error = None
    assert texts((await ask(held, upstream)).answer) == [A_60]


async def test_the_answer_is_kept_though_all_who_waited_have_gone() -> None:
    held, upstream = cache(), Upstream(A_60)
    first, *others = await at_once(held, upstream, 4)
    for task in others:
        task.cancel()
    upstream.open.set()
    await first
    await ask(held, upstream)
    assert len(upstream.asked) == 1


async def test_aliases_in_a_circle_do_not_wait_for_each_other() -> None:
    held = cache()

    async def rest(query: Query) -> Reply:
        await asyncio.sleep(0)
        other = "b.example.org" if query.name == names.parse("a.example.org") else "a.example.org"
        if query.depth < 4:
            asked = query.with_(name=names.parse(other), depth=query.depth + 1)
            await held.answer(asked, rest)
        return Reply(codes.SERVFAIL)

    both = asyncio.gather(held.answer(asking("a.example.org"), rest), held.answer(asking("b.example.org"), rest))
    replies = await asyncio.wait_for(both, 5)
    assert [reply.rcode for reply in replies] == [codes.SERVFAIL] * 2


async def rest_of_names(query: Query) -> Reply:
    return Reply(answer=[record(f"{names.text(query.name)} 60 A 192.0.2.1")])


async def test_a_flood_of_names_cannot_push_out_what_is_asked_for_again() -> None:
    held, upstream = cache("success 100"), Upstream()
    wanted = [f"w{number}.example.org" for number in range(50)]
    for name in wanted * 2:
        await ask(held, rest_of_names, name)
    for number in range(2000):
        await ask(held, rest_of_names, f"r{number}.example.org")
        assert len(held.success) <= 100
    upstream.fails()
    assert [(await ask(held, upstream, name)).rcode for name in wanted] == [codes.NOERROR] * 50


async def test_the_octets_kept_are_bounded_too() -> None:
    held, large = cache("success 1000"), rdata.txt(b"x" * 50_000)

    async def rest(query: Query) -> Reply:
        return Reply(answer=[Record(query.name, codes.TXT, 60, large)])

    for number in range(100):
        await ask(held, rest, f"n{number}.example.org", "TXT")
        assert held.success.held <= 1000 * 1024
    assert len(held.success) == 20


async def test_names_fetched_again_and_again_take_no_more_room_than_the_first_time() -> None:
    held = cache("success 1000")
    wanted = [f"w{number}.example.org" for number in range(300)]
    async with stopped_clock() as time:
        sizes = []
        for _ in range(5):
            for name in wanted:
                await ask(held, rest_of_names, name)
            sizes.append(sum(map(sys.getsizeof, (held.success._small, held.success._main))))
            await time.advance(61)
    assert len(held.success) == 300
    assert set(sizes) == {sizes[0]}


async def test_a_capacity_of_nothing_keeps_nothing_not_even_in_the_gate() -> None:
    held, upstream = cache("success 0"), Upstream(A_60)
    assert not (await ask(held, upstream)).keep.alive
    await ask(held, upstream)
    assert len(upstream.asked) == 2


async def test_servings_are_counted_as_one_miss_and_then_hits() -> None:
    held, upstream = cache(), Upstream(A_60)
    before = held.success.hits.value, held.success.requests.value
    first = await held.answer(asking(), upstream)
    (tally,) = first.tallies
    tally.add(1)  # the server, for the reply itself
    tally.add(3)  # the gate, for three replays
    await ask(held, upstream)
    assert (held.success.hits.value - before[0], held.success.requests.value - before[1]) == (4, 5)


async def test_the_tallies_of_who_answered_count_what_they_answered() -> None:
    class Count:
        servings = 0

        def add(self, servings: int) -> None:
            self.servings += servings

    held, upstream, count = cache(), Upstream(), Count()
    upstream.says(A_60, tallies=(count,))
    for _ in range(3):
        await ask(held, upstream)
    assert count.servings == 1


class Behind(Plugin):
    """Hands on to what stands for the servers behind."""

    name = "behind"

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    async def answer(self, query: Query, rest: Rest) -> Reply:
        return await self.upstream(query)


def in_front_of(upstream: Upstream, held: Cache) -> Dns:
    block = ServerBlock(zones=(names.ROOT,), root=Path())
    block.chain = link([held, Behind(upstream)])
    router = Router("dns://:53")
    router.add(names.ROOT, block)
    return Dns({("", 53): Port(router)}, (held,))


async def test_the_gate_replays_what_is_kept_counting_down_and_no_longer() -> None:
    upstream = Upstream(A_60)
    dns = in_front_of(upstream, cache())
    async with stopped_clock() as time:
        assert not (await dns.ask("a.example.org")).replayed
        await time.advance(59.5)
        again = await dns.ask("a.example.org")
        assert again.replayed
        assert again.answer == ["a.example.org. 1 A 192.0.2.1"]
        await time.advance(0.5)
        assert (await dns.ask("a.example.org")).answer == [A_60]
        assert len(upstream.asked) == 2


async def test_transports_sizes_and_flags_share_what_is_kept() -> None:
    upstream = Upstream(A_60)
    dns = in_front_of(upstream, cache())
    for tcp in False, True:
        for flags in codes.RD, codes.RD | codes.AD:
            assert (await dns.ask("a.example.org", tcp=tcp, flags=flags)).answer == [A_60]
    assert len(upstream.asked) == 1


async def test_ad_is_shown_to_who_asks_for_it() -> None:
    upstream = Upstream(A_60, authenticated=True)
    dns = in_front_of(upstream, cache())
    for _ in range(2):
        assert "ad" not in (await dns.ask("a.example.org")).flags
        assert "ad" in (await dns.ask("a.example.org", flags=codes.RD | codes.AD)).flags


async def test_in_the_last_part_of_a_life_queries_come_through_the_gate_to_prefetch() -> None:
    upstream = Upstream("a.example.org. 100 A 192.0.2.1")
    dns = in_front_of(upstream, cache("prefetch 3"))
    async with stopped_clock() as time:
        for _ in range(3):
            await dns.ask("a.example.org")
        await time.advance(91)
        upstream.says("a.example.org. 100 A 192.0.2.2")
        assert not (await dns.ask("a.example.org")).replayed
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await dns.ask("a.example.org")).answer == ["a.example.org. 100 A 192.0.2.2"]


async def test_old_answers_are_no_business_of_the_gate() -> None:
    upstream = Upstream(A_60)
    held = cache("serve_stale")
    dns = in_front_of(upstream, held)
    async with stopped_clock() as time:
        await dns.ask("a.example.org")
        await time.advance(60)
        upstream.fails()
        for _ in range(3):
            old = await dns.ask("a.example.org")
            assert (old.answer, old.replayed) == (["a.example.org. 0 A 192.0.2.1"], False)
        await held.stop()
