"""cache: prefetching what is asked for again, and serving what is old when nothing newer is to be had."""

from __future__ import annotations

import asyncio

import pytest

from pydnsk8s import codes
from pydnsk8s.keep import EACH_CLIENT, NEVER
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.testing import Clock, stopped_clock

from .blocks import texts
from .upstream import Upstream, ask, cache, ttls

OLD = "a.example.org. 100 A 192.0.2.1"
NEW = "a.example.org. 100 A 192.0.2.2"
STALE = ((codes.OPTION_ERROR, b"\0\3"),)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def expired(held: Cache, upstream: Upstream, time: Clock, after: float = 100) -> None:
    """Have the old answer in the cache, and its TTL run out."""
    upstream.says(OLD)
    await ask(held, upstream)
    await time.advance(after)
    upstream.asked.clear()


async def test_a_name_in_demand_is_fetched_anew_before_it_ends() -> None:
    held, upstream = cache("prefetch 2 1m 20%"), Upstream(OLD)
    async with stopped_clock() as time:
        assert (await ask(held, upstream)).keep.seconds == pytest.approx(80)
        await ask(held, upstream)
        await time.advance(81)
        upstream.says(NEW)
        assert (await ask(held, upstream)).keep.seconds == 0, "the first hit after a long gap starts the count anew"
        assert len(upstream.asked) == 1
        assert texts((await ask(held, upstream)).answer) == ["a.example.org. 19 A 192.0.2.1"]
        await settle()
        assert len(upstream.asked) == 2
        assert texts((await ask(held, upstream)).answer) == [NEW]


async def test_what_the_gate_replayed_counts_towards_the_prefetch() -> None:
    held, upstream = cache("prefetch 10"), Upstream(OLD)
    async with stopped_clock() as time:
        (entry,) = (await ask(held, upstream)).tallies
        await time.advance(91)
        entry.add(9)
        await ask(held, upstream)
        await settle()
        assert len(upstream.asked) == 2


async def test_a_failed_prefetch_leaves_the_entry_to_its_end_and_is_not_tried_again() -> None:
    held, upstream = cache("prefetch 1"), Upstream(OLD)
    async with stopped_clock() as time:
        await ask(held, upstream)
        await time.advance(95)
        upstream.fails()
        await ask(held, upstream)
        await settle()
        again = await ask(held, upstream)
        assert (ttls(again), again.keep.seconds) == ([5], 5)
        await settle()
        assert len(upstream.asked) == 2


async def test_an_old_answer_is_served_at_once_while_a_new_one_is_fetched() -> None:
    held, upstream = cache("serve_stale"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time, 3699)
        upstream.says(NEW)
        old = await ask(held, upstream)
        assert texts(old.answer) == ["a.example.org. 0 A 192.0.2.1"]
        assert (old.keep, old.options) == (NEVER, STALE)
        await settle()
        assert texts((await ask(held, upstream)).answer) == [NEW]
        assert len(upstream.asked) == 1


async def test_without_serve_stale_and_after_its_time_old_answers_are_gone() -> None:
    async with stopped_clock() as time:
        for options, age in ((), 100), (("serve_stale 10m",), 700), (("serve_stale 0",), 100):
            held, upstream = cache(*options), Upstream()
            await expired(held, upstream, time, age)
            upstream.fails()
            assert (await ask(held, upstream)).rcode == codes.SERVFAIL


async def test_old_answers_go_out_with_the_ttl_the_operator_wants_or_a_shorter_one() -> None:
    async with stopped_clock() as time:
        for ttl, expected in ("30s", 30), ("4294967295s", 100):
            held, upstream = cache(f"serve_stale 1h immediate {ttl}"), Upstream()
            await expired(held, upstream, time)
            assert ttls(await ask(held, upstream)) == [expected]
            await held.stop()


async def test_a_failure_does_not_take_the_place_of_an_old_answer() -> None:
    held, upstream = cache("serve_stale"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.fails()
        for asked in 1, 2:
            assert texts((await ask(held, upstream)).answer) == ["a.example.org. 0 A 192.0.2.1"]
            await settle()
            assert len(upstream.asked) == asked


async def test_an_exception_behind_does_not_take_the_old_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    held, upstream = cache("serve_stale 1h verify"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.error = OSError("gone")
        assert (await ask(held, upstream)).options == STALE
    assert "OSError: gone" in caplog.text


async def test_after_a_failure_the_servers_behind_are_left_in_peace_for_a_while() -> None:
    held, upstream = cache("serve_stale 1h immediate 30s 20s"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.fails()
        assert (await ask(held, upstream)).keep == NEVER
        await settle()
        await time.advance(5)
        old = await ask(held, upstream)
        assert (old.keep.seconds, old.keep.ages) == (15, False)
        await settle()
        assert len(upstream.asked) == 1
        await time.advance(15)
        await ask(held, upstream)
        await settle()
        assert len(upstream.asked) == 2


async def test_verify_asks_first_and_gives_the_old_answer_only_in_need() -> None:
    held, upstream = cache("serve_stale 1h verify"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.fails()
        assert (await ask(held, upstream)).options == STALE
        upstream.says(NEW)
        assert texts((await ask(held, upstream)).answer) == [NEW]
        await expired(held, upstream, time)
        upstream.denies()
        assert (await ask(held, upstream)).rcode == codes.NXDOMAIN


async def test_verify_waits_no_longer_than_told_and_still_takes_the_answer_when_it_comes() -> None:
    held, upstream = cache("serve_stale 1h verify 20ms"), Upstream(OLD)
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.says(NEW)
        upstream.open.clear()
        waiting = asyncio.create_task(ask(held, upstream))
        await settle()
        assert not waiting.done()
        await time.advance(0.02)
        assert (await waiting).options == STALE
        upstream.open.set()
        await settle()
        assert texts((await ask(held, upstream)).answer) == [NEW]
        assert len(upstream.asked) == 1


async def test_a_new_answer_for_one_network_only_is_not_shared_with_who_waits_to_verify() -> None:
    held, upstream = cache("serve_stale 1h verify"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.says(NEW, keep=EACH_CLIENT)
        await asyncio.gather(ask(held, upstream), ask(held, upstream))
    assert len(upstream.asked) == 3


async def test_a_denial_ends_the_old_answer_unless_positive_ones_are_preferred() -> None:
    async with stopped_clock() as time:
        for policy, expected in ((), codes.NXDOMAIN), (("serve_stale_policy prefer_positive",), codes.NOERROR):
            held, upstream = cache("serve_stale", *policy), Upstream()
            await expired(held, upstream, time)
            upstream.denies()
            await ask(held, upstream)
            await settle()
            assert (await ask(held, upstream)).rcode == codes.NXDOMAIN, "the denial is fresh"
            await time.advance(31)
            upstream.fails()
            assert (await ask(held, upstream)).rcode == expected


async def test_an_answer_that_may_not_be_kept_ends_the_old_one() -> None:
    held, upstream = cache("serve_stale 1h verify"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.says("a.example.org. 0 A 192.0.2.2")
        await ask(held, upstream)
        upstream.fails()
        assert (await ask(held, upstream)).rcode == codes.SERVFAIL


async def test_keepttl_does_not_show_old_answers_as_new() -> None:
    held, upstream = cache("keepttl", "serve_stale"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        assert ttls(await ask(held, upstream)) == [0]
        await held.stop()


async def test_stop_ends_what_is_being_fetched() -> None:
    held, upstream = cache("serve_stale"), Upstream()
    async with stopped_clock() as time:
        await expired(held, upstream, time)
        upstream.open.clear()
        await ask(held, upstream)
        await settle()
        await held.stop()
    assert len(asyncio.all_tasks()) == 1


async def test_how_much_is_fetched_in_the_background_is_bounded() -> None:
    held, upstream = cache("serve_stale"), Upstream()

    async def rest(query: Query) -> Reply:
        upstream.says(f"{(query.name[1:4]).decode()}.example.org. 100 A 192.0.2.1")
        return await upstream(query)

    async with stopped_clock() as time:
        for number in range(100, 700):
            await ask(held, rest, f"{number}.example.org")
        await time.advance(100)
        upstream.asked.clear()
        upstream.open.clear()
        for number in range(100, 700):
            assert (await ask(held, rest, f"{number}.example.org")).options == STALE
        await settle()
        assert len(upstream.asked) == 512
        await held.stop()
