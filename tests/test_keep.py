"""Keeps form a lattice met with &: ALWAYS is its unit, and nothing is kept longer or for more than each allows."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.keep import ALWAYS, EACH_CLIENT, NEVER, TURNS, Keep, Stamp, Stamps
from tests import strategies as draw


def same(one: Keep, two: Keep) -> bool:
    """Whether two keeps allow the same: for what may not be kept at all, the rest has no meaning but its stamps."""
    return one == two or (not one.seconds and not two.seconds and one.stamps == two.stamps)


@given(draw.keeps, draw.keeps, draw.keeps)
def test_the_meet_is_associative_commutative_and_idempotent(one: Keep, two: Keep, three: Keep) -> None:
    assert same((one & two) & three, one & (two & three))
    assert same(one & two, two & one)
    assert same(one & one, one)
    assert hash(one & two) == hash(Keep() & one & two)


@given(draw.keeps)
def test_always_is_its_unit_and_never_allows_no_serving(keep: Keep) -> None:
    assert keep & ALWAYS == ALWAYS & keep == keep
    assert not (keep & NEVER).alive
    assert not (NEVER & keep).alive


@given(draw.keeps, draw.keeps)
def test_the_meet_allows_no_more_than_either(one: Keep, two: Keep) -> None:
    both = one & two
    assert both.seconds == min(one.seconds, two.seconds)
    assert both.stamps == one.stamps | two.stamps
    assert both.alive == (one.alive and two.alive)
    assert both.live == (one.live and two.live)
    if not both.seconds:
        return
    assert both.prefix4 >= max(one.prefix4, two.prefix4)
    assert both.prefix6 >= max(one.prefix6, two.prefix6)
    assert both.ages == (one.ages or two.ages)
    assert both.turns == (one.turns or two.turns)


@given(st.lists(st.booleans(), max_size=5))
def test_a_keep_lives_as_long_as_all_its_stamps(retired: list[bool]) -> None:
    stamps = [Stamp() for _ in retired]
    keep = Keep.while_(*stamps)
    assert keep.alive
    for stamp, is_retired in zip(stamps, retired, strict=True):
        if is_retired:
            stamp.retire()
    assert keep.alive == (not any(retired))


def test_a_keep_says_what_it_allows() -> None:
    assert repr(ALWAYS) == "Keep(always)"
    assert repr(NEVER) == "Keep(0 s)"
    assert repr(Keep(5, ages=True) & TURNS) == "Keep(5 s, ages, turns)"
    assert repr(EACH_CLIENT & Keep.while_(Stamp())) == "Keep(1 stamp, client /32 or /128)"
    assert repr(Keep.while_(Stamp(), Stamp())) == "Keep(2 stamps)"


def test_a_keep_is_no_number() -> None:
    assert Keep(0) != 0


def test_what_changes_again_and_again_takes_no_more_room() -> None:
    # As many as a dict of theirs has little room beside.
    stamps, kept = Stamps(), [Stamp()] * 15_000
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(4):
            for key in range(len(kept)):
                stamps.retire(key)
                kept[key] = stamps.of(key)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes) - sizes[0] < 10_000


def test_a_stamp_that_was_retired_is_given_to_nobody() -> None:
    stamps = Stamps()
    former = stamps.of("key")
    former.retire()
    assert stamps.of("key").alive
    stamps.retire("key")
    assert stamps.of("key").alive
    assert stamps.of("key") is not former


def test_keys_that_nobody_keeps_a_reply_under_are_forgotten() -> None:
    stamps = Stamps()
    for key in range(100_000):
        stamps.of(key)
    assert len(stamps._held) < 3000


def test_each_key_has_a_stamp_of_its_own_while_others_are_forgotten() -> None:
    stamps, kept = Stamps(), dict[int, Stamp]()
    for key in range(10_000):
        stamp = stamps.of(key)
        assert stamp.alive
        if key % 3 == 0:
            kept[key] = stamp
    assert len({id(stamp) for stamp in kept.values()}) == len(kept)
    assert all(stamps.of(key) is stamp for key, stamp in kept.items())
