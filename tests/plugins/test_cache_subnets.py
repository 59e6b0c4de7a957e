"""cache: with a client subnet a reply is shared within the network it is good for, and nowhere else."""

from __future__ import annotations

import pytest

from pydnsk8s import codes
from pydnsk8s.keep import Keep
from pydnsk8s.message import Edns, Query, Reply
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.testing import stopped_clock
from tests.test_subnet import option

from .blocks import texts
from .upstream import Upstream, asking, cache

A_60 = "a.example.org. 60 A 192.0.2.1"
A_OTHER = "a.example.org. 60 A 192.0.2.2"


def told(prefix: str, name: str = "a.example.org") -> Query:
    return asking(name).with_(edns=Edns(options=(option(prefix),)))


async def ask(held: Cache, upstream: Upstream, query: Query) -> Reply:
    return await held.answer(query, upstream)


@pytest.mark.parametrize(
    ("first", "scope", "second", "shared"),
    [
        ("203.0.113.0/24", 24, "203.0.113.0/24", True),
        ("203.0.113.0/24", 16, "203.0.200.0/24", True),
        ("203.0.113.0/24", 16, "203.1.113.0/24", False),
        ("203.0.113.0/24", 16, "203.0.0.0/16", True),
        ("203.0.113.0/24", 16, "203.0.0.0/15", False),
        ("203.0.113.0/24", 23, "203.0.112.0/24", True),
        ("203.0.113.0/24", 23, "203.0.114.0/24", False),
        ("203.0.113.0/24", 0, "198.51.100.0/24", True),
        ("203.0.113.0/24", 0, "0.0.0.0/0", True),
        ("203.0.113.0/24", 0, "2001:db8::/32", False),
        # What is said to who tells too little is for who tells just as little.
        ("203.0.0.0/16", 24, "203.0.0.0/16", True),
        ("203.0.0.0/16", 24, "203.0.0.0/24", False),
        ("203.0.0.0/16", 24, "203.0.1.0/24", False),
        # A prefix of nothing is no scope of everything.
        ("0.0.0.0/0", 0, "0.0.0.0/0", True),
        ("0.0.0.0/0", 0, "203.0.113.0/24", False),
        ("2001:db8::/56", 48, "2001:db8:0:ff00::/56", True),
        ("2001:db8::/56", 48, "2001:db8:1::/56", False),
    ],
)
async def test_a_reply_is_shared_within_its_scope(first: str, scope: int, second: str, shared: bool) -> None:
    held, upstream = cache(), Upstream(A_60, keep=Keep(0, scope=scope))
    assert (await ask(held, upstream, told(first))).keep.scope == scope
    again = await ask(held, upstream, told(second))
    assert (len(upstream.asked) == 1) == shared
    assert again.keep.scope == scope


async def test_who_names_no_subnet_has_replies_of_its_own() -> None:
    held, upstream = cache(), Upstream(A_60)
    await ask(held, upstream, told("203.0.113.0/24"))
    await ask(held, upstream, asking())
    await ask(held, upstream, told("198.51.100.0/24"))
    await ask(held, upstream, asking())
    assert len(upstream.asked) == 2


async def test_the_smallest_network_that_holds_the_client_counts() -> None:
    held, upstream = cache(), Upstream(A_60, keep=Keep(0, scope=8))
    await ask(held, upstream, told("203.0.113.0/24", "b.example.org"))
    upstream.says(A_OTHER, keep=Keep(0, scope=24))
    await ask(held, upstream, told("203.0.113.0/24"))
    upstream.says(A_60, keep=Keep(0, scope=8))
    await ask(held, upstream, told("203.0.114.0/24"))
    assert texts((await ask(held, upstream, told("203.0.113.0/24"))).answer) == [A_OTHER]
    assert texts((await ask(held, upstream, told("203.0.115.0/24"))).answer) == [A_60]
    assert len(upstream.asked) == 3


async def test_a_failure_is_nobody_elses() -> None:
    held, upstream = cache(), Upstream()
    upstream.fails()
    for prefix in ("203.0.113.0/24", "203.0.113.0/24", "198.51.100.0/24"):
        assert (await ask(held, upstream, told(prefix))).rcode == codes.SERVFAIL
    assert len(upstream.asked) == 2


async def test_a_denial_has_a_scope_like_any_other_reply() -> None:
    held, upstream = cache(), Upstream()
    upstream.denies()
    upstream.reply = upstream.reply.with_(keep=Keep(0, scope=24))
    for prefix in ("203.0.113.0/24", "203.0.113.128/25", "203.0.114.0/24"):
        assert (await ask(held, upstream, told(prefix))).rcode == codes.NXDOMAIN
    assert len(upstream.asked) == 2


async def test_a_fresh_reply_of_a_larger_network_is_better_than_an_old_one_of_a_smaller() -> None:
    held, upstream = cache("serve_stale"), Upstream(A_60, keep=Keep(0, scope=24))
    async with stopped_clock() as time:
        await ask(held, upstream, told("203.0.113.0/24"))
        await time.advance(61)
        upstream.says(A_OTHER, keep=Keep(0, scope=16))
        await ask(held, upstream, told("203.0.200.0/24"))
        assert texts((await ask(held, upstream, told("203.0.113.0/24"))).answer) == [A_OTHER]
        upstream.fails()
        await time.advance(61)
        old = await ask(held, upstream, told("203.0.113.0/24"))
        assert (old.rcode, old.keep.scope) == (codes.NOERROR, 24)
        await held.stop()


async def test_what_holds_for_one_sender_is_not_kept_whatever_its_scope() -> None:
    held, upstream = cache(), Upstream(A_60, keep=Keep(0, prefix4=24, prefix6=128, scope=24))
    for _ in range(2):
        await ask(held, upstream, told("203.0.113.0/24"))
    assert len(upstream.asked) == 2


async def test_a_successor_finds_what_is_kept_for_networks() -> None:
    held, upstream = cache(), Upstream(A_60, keep=Keep(0, scope=16))
    await ask(held, upstream, told("203.0.113.0/24"))
    heir = cache()
    heir.inherit(held)
    await ask(heir, upstream, told("203.0.200.0/24"))
    assert len(upstream.asked) == 1
