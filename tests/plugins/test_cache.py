"""cache: what is kept, under which key and for how long."""

from __future__ import annotations

import pytest

from pydnsk8s import clock, codes, names
from pydnsk8s.keep import ALWAYS, EACH_CLIENT, NEVER, Keep, Stamp
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.testing import record, stopped_clock
from pydnsk8s.wire import Forwarded

from .blocks import plugin, texts
from .upstream import Upstream, ask, cache, off_the_wire, ttls

A_300 = "a.example.org. 300 A 192.0.2.1"


async def test_what_was_fetched_is_served_until_its_ttl_has_run_out_and_counts_down() -> None:
    held, upstream = cache(), Upstream(A_300)
    async with stopped_clock() as time:
        assert texts((await ask(held, upstream)).answer) == [A_300]
        await time.advance(100.5)
        assert ttls(await ask(held, upstream)) == [200]
        await time.advance(199)
        assert ttls(await ask(held, upstream)) == [1]
        assert len(upstream.asked) == 1
        await time.advance(0.5)
        await ask(held, upstream)
        assert len(upstream.asked) == 2


async def test_a_forwarded_reply_keeps_its_bytes_but_for_the_ttls() -> None:
    held = cache()

    async def rest(query: Query) -> Reply:
        return off_the_wire(query, Reply(answer=[record(A_300)], recursive=True, authoritative=False))

    async with stopped_clock() as time:
        first = await ask(held, rest)
        await time.advance(7)
        later = await ask(held, rest)
    assert isinstance(first, Forwarded)
    assert isinstance(later, Forwarded)
    assert ttls(later) == [293]
    assert later.wire.replace((293).to_bytes(4, "big"), (300).to_bytes(4, "big")) == first.wire
    assert later.recursive
    assert not later.authoritative


async def test_ttl_zero_is_never_kept_whatever_the_least_ttl() -> None:
    for held in (cache(), cache("success 100 3600 30")):
        upstream = Upstream("a.example.org. 0 A 192.0.2.1")
        assert ttls(await ask(held, upstream)) == [0]
        assert (await ask(held, upstream)).keep == NEVER
        assert len(upstream.asked) == 2


async def test_a_short_ttl_is_not_raised_unless_the_operator_says_so() -> None:
    async with stopped_clock() as time:
        for options, expected in ((), 1), (("success 100 3600 30",), 30):
            held, upstream = cache(*options), Upstream("a.example.org. 1 A 192.0.2.1")
            assert ttls(await ask(held, upstream)) == [expected]
            await time.advance(1)
            await ask(held, upstream)
            assert len(upstream.asked) == (2 if expected == 1 else 1)


async def test_every_record_keeps_its_own_ttl_below_the_limit_from_the_first_reply_on() -> None:
    chain = ("a.example.org. 7200 CNAME b.example.org.", "b.example.org. 60 A 192.0.2.1")
    held, upstream = cache(args="600"), Upstream(*chain)
    async with stopped_clock() as time:
        assert ttls(await ask(held, upstream)) == [600, 60]
        await time.advance(10)
        assert ttls(await ask(held, upstream)) == [590, 50]


async def test_keepttl_shows_the_ttls_as_they_came() -> None:
    held, upstream = cache("keepttl"), Upstream(A_300)
    async with stopped_clock() as time:
        await ask(held, upstream)
        await time.advance(100)
        reply = await ask(held, upstream)
        assert ttls(reply) == [300]
        assert (reply.keep.seconds, reply.keep.ages) == (200, False)
        await time.advance(200)
        await ask(held, upstream)
        assert len(upstream.asked) == 2


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(60, 30, 30), (30, 60, 30), (9000, 9000, 1800), (60, 0, 0)])
async def test_a_denial_lives_for_the_lesser_of_the_soas_ttl_and_its_minimum(
    ttl: int, minimum: int, expected: int
) -> None:
    for rcode in codes.NXDOMAIN, codes.NOERROR:
        held, upstream = cache(), Upstream()
        upstream.denies(rcode, ttl=ttl, minimum=minimum)
        async with stopped_clock() as time:
            first = await ask(held, upstream)
            assert ttls(first) == [expected or ttl]
            await time.advance(max(expected - 1, 0))
            await ask(held, upstream)
            assert len(upstream.asked) == (1 if expected else 2)
            await time.advance(1)
            upstream.asked.clear()
            await ask(held, upstream)
            assert len(upstream.asked) == 1


async def test_a_denial_at_the_end_of_an_alias_is_kept() -> None:
    for rcode in codes.NXDOMAIN, codes.NOERROR:
        held, upstream = cache(), Upstream()
        upstream.denies(rcode, "a.example.org. 300 CNAME b.example.org.")
        await ask(held, upstream)
        assert (await ask(held, upstream)).rcode == rcode
        assert len(upstream.asked) == 1
        assert len(held.denial) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(codes.NXDOMAIN),
        Reply(codes.NOERROR),
        Reply(codes.REFUSED),
        Reply(codes.FORMERR),
        Reply(answer=[record(A_300)], truncated=True),
        Reply(answer=[record("a.example.org. 300 CNAME b.example.org.")]),
        Reply(answer=[record("b.example.org. 300 A 192.0.2.1")]),
        Reply(answer=[record("a.example.org. 300 TXT x")]),
        Reply(answer=[record(A_300)], keep=NEVER & EACH_CLIENT),
    ],
    ids=repr,
)
async def test_what_does_not_answer_or_is_not_for_all_is_not_kept(reply: Reply) -> None:
    held, upstream = cache(), Upstream()
    upstream.reply = reply
    assert await ask(held, upstream) is reply
    await ask(held, upstream)
    assert len(upstream.asked) == 2
    assert len(held.success) == len(held.denial) == 0


async def test_a_referral_is_kept_apart_from_the_answer_to_a_recursive_question() -> None:
    held, upstream = cache(), Upstream(authority=(record("example.org. 300 NS ns.example.org."),))
    await ask(held, upstream, flags=0)
    await ask(held, upstream, flags=0)
    assert len(upstream.asked) == 1
    await ask(held, upstream)
    assert len(upstream.asked) == 2


async def test_live_data_pass_untouched_and_are_not_kept() -> None:
    held, upstream, stamp = cache(), Upstream(), Stamp()
    for keep in (Keep.while_(stamp), ALWAYS, EACH_CLIENT):
        upstream.says(A_300, keep=keep)
        assert await ask(held, upstream) is upstream.reply
    assert len(upstream.asked) == 3
    assert len(held.success) == 0


async def test_a_reply_is_kept_no_longer_than_the_stamps_it_came_under() -> None:
    held, upstream, stamp = cache("serve_stale"), Upstream(), Stamp()
    upstream.says(A_300, keep=NEVER & Keep.while_(stamp))
    await ask(held, upstream)
    assert (await ask(held, upstream)).keep.stamps == {stamp}
    assert len(upstream.asked) == 1
    stamp.retire()
    await ask(held, upstream)
    assert len(upstream.asked) == 2


async def test_a_reply_is_kept_no_longer_than_its_keep_allows() -> None:
    held, upstream = cache(), Upstream()
    upstream.says(A_300, keep=Keep(10))
    async with stopped_clock() as time:
        assert (await ask(held, upstream)).keep.seconds == 10
        await time.advance(10)
        await ask(held, upstream)
    assert len(upstream.asked) == 2


async def test_aa_ra_and_ad_are_served_as_they_came_and_ad_is_always_asked_for() -> None:
    held, upstream = cache(), Upstream()
    upstream.says(A_300, authoritative=False, recursive=True, authenticated=True)
    for _ in range(2):
        reply = await ask(held, upstream)
        assert (reply.authoritative, reply.recursive, reply.authenticated) == (False, True, True)
    assert upstream.asked[0].flags == codes.RD | codes.AD


async def test_of_edns_options_only_extended_errors_are_kept() -> None:
    held, upstream = cache(), Upstream()
    why = (codes.OPTION_ERROR, b"\0\x09")
    upstream.says(A_300, options=(why, (codes.OPTION_NSID, b"ns1")))
    assert len((await ask(held, upstream)).options) == 2
    assert (await ask(held, upstream)).options == (why,)


async def test_queries_with_a_client_subnet_and_those_without_know_nothing_of_each_other() -> None:
    held, upstream = cache(), Upstream(A_300)
    for _ in range(2):
        await ask(held, upstream, subnet=True)
        await ask(held, upstream)
    assert len(held.success) == 2
    assert len(upstream.asked) == 2


async def test_hinfo_passes_so_that_loop_sees_all_its_probes() -> None:
    held, upstream = cache(), Upstream('a.example.org. 300 HINFO "a" "b"')
    await ask(held, upstream, "a.example.org", "HINFO")
    await ask(held, upstream, "a.example.org", "HINFO")
    assert len(upstream.asked) == 2


async def test_a_failure_is_kept_for_five_seconds_and_logged_once() -> None:
    async with stopped_clock() as time:
        for options, asked in ((), 1), (("servfail 0",), 2):
            held, upstream = cache(*options), Upstream()
            upstream.fails()
            assert (await ask(held, upstream)).error == "no server answers"
            await time.advance(4)
            again = await ask(held, upstream)
            assert (again.rcode, again.error) == (codes.SERVFAIL, "" if asked == 1 else "no server answers")
            assert len(upstream.asked) == asked
            await time.advance(1)
            await ask(held, upstream)
            assert len(upstream.asked) == asked + 1


async def test_only_names_of_its_zones_and_none_of_the_disabled_ones_are_kept() -> None:
    held = cache("disable success no.example.org", "disable denial", args="example.org")
    upstream = Upstream()
    for name, kept in ("a.example.org", True), ("a.no.example.org", False), ("a.example.net", False):
        upstream.says(f"{name}. 300 A 192.0.2.1")
        await ask(held, upstream, name)
        assert held.success.get(names.parse(name) + b"\0\1\0\1\x20", clock.now()) is not None or not kept
    assert len(held.success) == 1
    upstream.denies()
    await ask(held, upstream, "b.example.org")
    assert len(held.denial) == 0


async def test_a_reload_keeps_what_was_kept() -> None:
    old, new, upstream = cache(), cache(), Upstream(A_300)
    await ask(old, upstream)
    assert new.inherit(old) is False
    await old.stop()
    assert texts((await ask(new, upstream)).answer) == [A_300]
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("log", True),
        ("hosts {\n192.0.2.9 a.example.org\nfallthrough\n}", False),
        ("forward example.org 192.0.2.8", False),
    ],
)
async def test_a_reload_that_changes_who_answers_behind_the_cache_keeps_nothing(change: str, *, kept: bool) -> None:
    before = "cache\nforward . 192.0.2.7"
    old, new, upstream = plugin(Cache, before), plugin(Cache, f"{before}\n{change}"), Upstream(A_300)
    await ask(old, upstream)
    new.inherit(old)
    assert len(new.success) == kept
