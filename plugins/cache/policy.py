"""What the operator wants kept: how much, how long, and what to do when it grows old."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pydnsk8s import names
from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.plugin import ServerBlock

_LONGEST = 0x7FFFFFFF  # RFC 2181 section 8: a TTL has 31 bits
_USAGE = {
    "success": "success CAPACITY [TTL [MINTTL]]",
    "denial": "denial CAPACITY [TTL [MINTTL]]",
    "prefetch": "prefetch AMOUNT [DURATION [PERCENTAGE%]]",
    "serve_stale": "serve_stale [DURATION [immediate [RTTL [RECHECK]] | verify [TIMEOUT [RTTL [RECHECK]]]]]",
    "serve_stale_policy": "serve_stale_policy prefer_positive",
    "servfail": "servfail DURATION",
    "disable": "disable success|denial [ZONES...]",
    "keepttl": "keepttl",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many replies of one sort are kept, and between which TTLs."""

    capacity: int = 9984
    most: int = 3600
    """Seconds; longer TTLs are lowered to it."""
    least: int = 0
    """Seconds; shorter TTLs are raised to it, except 0."""
    never: tuple[bytes, ...] = ()
    """The zones whose names are not kept."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """When a reply that is much asked for is fetched again before it ends."""

    hits: int
    gap: float = 60.0
    """Seconds without a hit that start the count anew."""
    share: float = 0.1
    """The last part of its life in which a reply is fetched."""


@dataclass(frozen=True, slots=True)
class Stale:
    """How long after its end a reply may still be served, and how (RFC 8767)."""

    seconds: float = 3600.0
    verify: bool = False
    """Whether the server behind is asked first."""
    timeout: float | None = None
    """Seconds to wait for it then; None for as long as it takes."""
    ttl: int = 0
    """The TTL such a reply goes out with."""
    recheck: float = 0.0
    """Seconds to leave the server behind in peace after it has failed."""
    prefer_positive: bool = False
    """Whether an old answer is better than an old denial."""


@dataclass(slots=True)
class Policy:
    """Everything one ``cache`` directive says."""

    zones: tuple[bytes, ...] = ()
    """The zones it works for; none for all of the block."""
    success: Limits = Limits()
    denial: Limits = Limits(most=1800)
    failure: float = 5.0
    """Seconds for which a failure is kept; 0 for not at all."""
    prefetch: Prefetch | None = None
    stale: Stale | None = None
    keep_ttl: bool = False
    """Whether TTLs stay as they came instead of counting down."""


def read(directive: Directive, block: ServerBlock) -> Policy:
    """The policy a directive states."""
    policy = Policy()
    # "cache {}" reads as an empty block; CoreDNS takes it for a zone and caches nothing.
    words = [word for word in directive.args if word != "{}"]
    if words and words[0].lstrip("+-").isdecimal():
        most = directive.number(words.pop(0), 1, _LONGEST)
        policy.success = replace(policy.success, most=most)
        policy.denial = replace(policy.denial, most=most)
    zones = directive.zones(words)
    policy.zones = () if set(zones) >= set(block.zones) else zones
    preference: Option | None = None
    for option in directive.options:
        if option.name == "serve_stale_policy":
            if preference is not None:
                raise option.error("serve_stale_policy can only be used once")
            preference = option
        _read(option, policy)
    if preference is not None:
        if policy.stale is None:
            raise preference.error("serve_stale_policy needs serve_stale")
        policy.stale = replace(policy.stale, prefer_positive=True)
    return policy


def _read(option: Option, policy: Policy) -> None:
    match option.words:
        case ["success", capacity, *ttl] if len(ttl) <= 2:
            policy.success = _limits(option, policy.success, capacity, ttl)
        case ["denial", capacity, *ttl] if len(ttl) <= 2:
            policy.denial = _limits(option, policy.denial, capacity, ttl)
        case ["prefetch", amount, *when] if len(when) <= 2:
            policy.prefetch = _prefetch(option, amount, when)
        case ["serve_stale", *how]:
            policy.stale = _stale(option, how)
        case ["serve_stale_policy", preference]:
            option.switch(preference, "prefer_positive", fold=True)
        case ["servfail", duration]:
            policy.failure = option.duration(duration, low=0, high=300)  # RFC 2308 section 7.1: five minutes at most
        case ["disable", "success", *zones]:
            policy.success = replace(policy.success, never=option.zones(zones) or (names.ROOT,))
        case ["disable", "denial", *zones]:
            policy.denial = replace(policy.denial, never=option.zones(zones) or (names.ROOT,))
        case ["keepttl"]:
            policy.keep_ttl = True
        case _:
            raise _wrong(option)


def _wrong(option: Option) -> CorefileError:
    if option.name == "disable" and option.args:
        option.switch(option.args[0], "success", "denial")
    return option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)


def _limits(option: Option, before: Limits, capacity: str, ttl: list[str]) -> Limits:
    most = option.number(ttl[0], 1, _LONGEST) if ttl else before.most
    least = option.number(ttl[1], 0, _LONGEST) if len(ttl) > 1 else before.least
    return replace(before, capacity=option.number(capacity, 0, 100_000_000), most=most, least=least)


def _prefetch(option: Option, amount: str, when: list[str]) -> Prefetch | None:
    prefetch = Prefetch(option.number(amount, 0, _LONGEST))
    if when:
        prefetch = replace(prefetch, gap=option.duration(when[0], low=0))
    if len(when) > 1:
        if not when[1].endswith("%"):
            raise option.error(f"prefetch: expected a percentage such as 10%, found {when[1]!r}", when[1])
        digits = when[1][:-1]
        if not (digits.isascii() and digits.isdigit() and 10 <= int(digits) <= 90):
            raise option.error(f"prefetch: expected 10% to 90%, found {when[1]}", when[1])
        prefetch = replace(prefetch, share=int(digits) / 100)
    return prefetch if prefetch.hits else None


def _stale(option: Option, how: list[str]) -> Stale:
    stale = Stale()
    if how:
        stale = replace(stale, seconds=option.duration(how[0], low=0))
    more: list[str] = []
    if len(how) > 1:
        mode = option.switch(how[1], "immediate", "verify", fold=True)
        more = how[2:]
        if mode == "verify":
            wait = option.duration(more.pop(0), low=0) if more else 0
            stale = replace(stale, verify=True, timeout=wait or None)
    if len(more) > 2:
        raise option.arguments(_USAGE["serve_stale"])
    if more:
        stale = replace(stale, ttl=_whole_seconds(option, more[0]))
    if len(more) > 1:
        stale = replace(stale, recheck=option.duration(more[1], low=0, high=300))
    return stale


def _whole_seconds(option: Option, text: str) -> int:
    seconds = option.duration(text, low=0, high=0xFFFFFFFF)
    if seconds != math.floor(seconds):
        raise option.error(f"serve_stale: a TTL has whole seconds, found {text}", text)
    return min(int(seconds), _LONGEST)
