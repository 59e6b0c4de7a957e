"""cache: what its directive may say, and what is said of it when it may not."""

from __future__ import annotations

import pytest

from pydnsk8s import names
from pydnsk8s.plugins.cache.policy import Limits, Policy, Prefetch, Stale

from .blocks import errors
from .upstream import cache

EXAMPLES = (names.parse("example.com"), names.parse("example.org"))


@pytest.mark.parametrize(
    ("args", "options", "expected"),
    [
        ("", [], Policy()),
        ("{}", [], Policy()),
        ("30", [], Policy(success=Limits(most=30), denial=Limits(most=30))),
        ("example.org", [], Policy(zones=EXAMPLES[1:])),
        ("25 example.org", ["denial 10 15 5"], Policy(EXAMPLES[1:], Limits(most=25), Limits(10, 15, 5))),
        ("", ["success 10"], Policy(success=Limits(10))),
        ("", ["success 10 1800 30"], Policy(success=Limits(10, 1800, 30))),
        ("", ["prefetch 10"], Policy(prefetch=Prefetch(10))),
        ("", ["prefetch 10 5m 20%"], Policy(prefetch=Prefetch(10, 300, 0.2))),
        ("", ["prefetch 0"], Policy()),
        ("", ["serve_stale"], Policy(stale=Stale())),
        ("", ["serve_stale 1h20m"], Policy(stale=Stale(4800))),
        ("", ["serve_stale 0"], Policy(stale=Stale(0))),
        ("", ["serve_stale 0 VERIFY"], Policy(stale=Stale(0, verify=True))),
        ("", ["serve_stale 1h immediate 30s 5m"], Policy(stale=Stale(ttl=30, recheck=300))),
        ("", ["serve_stale 1h immediate 4294967295s"], Policy(stale=Stale(ttl=0x7FFFFFFF))),
        ("", ["serve_stale 1h verify 0 1m 250ms"], Policy(stale=Stale(verify=True, ttl=60, recheck=0.25))),
        ("", ["serve_stale 1h verify 100ms"], Policy(stale=Stale(verify=True, timeout=0.1))),
        ("", ["serve_stale_policy PREFER_POSITIVE", "serve_stale"], Policy(stale=Stale(prefer_positive=True))),
        ("", ["servfail 5m"], Policy(failure=300)),
        ("", ["servfail 0"], Policy(failure=0)),
        ("", ["disable success example.com example.org"], Policy(success=Limits(never=EXAMPLES))),
        ("", ["disable denial"], Policy(denial=Limits(most=1800, never=(names.ROOT,)))),
        ("", ["keepttl"], Policy(keep_ttl=True)),
    ],
    ids=str,
)
def test_what_a_directive_says(args: str, options: list[str], expected: Policy) -> None:
    assert cache(*options, args=args).policy == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cache 0", "expected 1 to 2147483647, found 0"),
        ("cache -1 example.org", "found -1"),
        ("cache a..b", "not a domain name"),
        ("cache\ncache", "only be used once"),
        ("positive 15", "unknown option 'positive'"),
        ("success", "expected: success CAPACITY [TTL [MINTTL]]"),
        ("success 1 2 3 4", "expected: success CAPACITY"),
        ("success 10 0", "expected 1 to"),
        ("denial aaa", "expected a whole number"),
        ("prefetch", "expected: prefetch AMOUNT"),
        ("prefetch -1", "found -1"),
        ("prefetch 0 blurp", "expected a duration"),
        ("prefetch 1 1m 10", "a percentage such as 10%"),
        ("prefetch 1 1m 91%", "10% to 90%"),
        ("serve_stale 20", "write 20s for seconds"),
        ("serve_stale -20m", "found -20m"),
        ("serve_stale 1m nono", "expected one of immediate, verify"),
        ("serve_stale 1h immediate 100ms", "whole seconds"),
        ("serve_stale 1h immediate 4294967296s", "at most"),
        ("serve_stale 1h immediate 30s 5m1s", "at most 5m"),
        ("serve_stale 1h immediate 30s 30s extra", "expected: serve_stale"),
        ("serve_stale 1h verify -1ms", "found -1ms"),
        ("serve_stale 1h verify 100ms 30s 30s extra", "expected: serve_stale"),
        ("serve_stale_policy prefer_positive", "needs serve_stale"),
        ("serve_stale\nserve_stale_policy", "expected: serve_stale_policy prefer_positive"),
        ("serve_stale\nserve_stale_policy other", "expected prefer_positive"),
        ("serve_stale\nserve_stale_policy prefer_positive\nserve_stale_policy prefer_positive", "only be used once"),
        ("servfail 6m", "at most 5m"),
        ("servfail 20", "write 20s for seconds"),
        ("disable", "expected: disable success|denial"),
        ("disable invalid example.org", "expected one of success, denial, found 'invalid'"),
        ("keepttl 1", "expected: keepttl"),
    ],
)
def test_what_a_directive_may_not_say(text: str, complaint: str) -> None:
    assert complaint in errors(text if text.startswith("cache") else f"cache {{\n{text}\n}}")
