"""Results become states, with hysteresis and no haste."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.plugins.gslb.health import Finding, Judgement, State
from pydnsk8s.plugins.gslb.watch import Terms, Watch, watch

RESULTS = st.lists(st.booleans(), max_size=60)
NUMBERS = st.integers(1, 5)


def runs(results: list[bool], rise: int, fall: int, state: State = State.UNKNOWN) -> list[State]:
    judgement = Judgement(state)
    states = []
    for passed in results:
        judgement.take(passed, rise, fall)
        states.append(judgement.state)
    return states


def test_one_good_result_is_enough_for_what_nobody_knows() -> None:
    assert runs([True], 5, 5) == [State.UP]


def test_unknown_is_not_down_before_enough_failures() -> None:
    assert runs([False, False, False], 2, 3) == [State.UNKNOWN, State.UNKNOWN, State.DOWN]


def test_down_takes_several_good_results_to_be_up() -> None:
    assert runs([True, True], 2, 3, State.DOWN) == [State.DOWN, State.UP]


@given(RESULTS, NUMBERS, NUMBERS)
def test_a_state_changes_only_after_its_run_of_results(results: list[bool], rise: int, fall: int) -> None:
    states = [State.UNKNOWN, *runs(results, rise, fall)]
    for at, (before, after) in enumerate(pairwise(states), 1):
        if after is State.DOWN and before is not State.DOWN:
            assert at >= fall
            assert not any(results[at - fall : at])
        if after is State.UP and before is State.DOWN:
            assert at >= rise
            assert all(results[at - rise : at])


@given(RESULTS, NUMBERS, NUMBERS)
def test_a_long_enough_run_always_decides(results: list[bool], rise: int, fall: int) -> None:
    assert runs([*results, *[False] * fall], rise, fall)[-1] is State.DOWN
    assert runs([*results, *[True] * rise], rise, fall)[-1] is State.UP


@given(st.integers(0, 40))
def test_a_target_that_fails_every_other_time_does_not_flap(times: int) -> None:
    assert set(runs([True, False] * times, 2, 2)) <= {State.UP}
    assert set(runs([True, False] * times, 2, 2, State.DOWN)) <= {State.DOWN}


class Nothing:
    """A probe that is never asked."""

    kind = "nothing"

    async def look(self, seconds: float) -> Finding:
        raise NotImplementedError


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), NUMBERS, NUMBERS)
def test_a_look_that_tells_nothing_changes_nothing(results: list[bool | None], rise: int, fall: int) -> None:
    blind, sighted = (Watch(Nothing(), Terms(rise=rise, fall=fall)) for _ in range(2))
    for passed in results:
        changed = blind.take(Finding(passed, "" if passed else "why"))
        assert passed is not None or not changed
        if passed is not None:
            sighted.take(Finding(passed))
    assert blind.state is sighted.state


def test_a_peer_that_says_nothing_is_believed_until_the_time_is_over() -> None:
    patient = Watch(Nothing(), Terms(rise=1, fall=1))
    hasty = Watch(Nothing(), Terms(rise=1, fall=1, retain=-1))
    for watched in (patient, hasty):
        watched.take(Finding(True, "", (b"\xc0\0\2\1",)))
        watched.take(Finding(None, "no answer"))
    assert (patient.state, patient.addresses) == (State.UP, (b"\xc0\0\2\1",))
    assert hasty.state is State.DOWN


def test_looks_come_faster_while_they_contradict_what_is_known() -> None:
    terms = Terms(interval=12, jitter=0, rise=2, fall=3)
    assert terms.pause(Judgement(State.UP)) == 12
    doubted, hoped = Judgement(State.UP), Judgement(State.DOWN)
    doubted.take(False, 2, 3)
    hoped.take(True, 2, 3)
    assert (terms.pause(doubted), terms.pause(hoped)) == (4, 6)


@given(st.floats(0.1, 1000), st.floats(0, 0.9))
def test_jitter_stays_within_its_bounds(interval: float, jitter: float) -> None:
    pause = Terms(interval=interval, jitter=jitter).pause(Judgement())
    assert interval * (1 - jitter) * 0.999 <= pause <= interval * (1 + jitter) * 1.001


@dataclass(frozen=True)
class Crowd:
    """A probe that notes how many looks are under way at once."""

    number: int
    present: list[int] = field(default_factory=list, compare=False)
    most: list[int] = field(default_factory=list, compare=False)
    kind = "crowd"

    async def look(self, seconds: float) -> Finding:
        self.present.append(self.number)
        self.most.append(len(self.present))
        await asyncio.sleep(0)
        self.present.remove(self.number)
        return Finding(True)


def ignore() -> None:
    """Listen and do nothing."""


async def end(watches: list[Watch]) -> None:
    tasks = [task for held in watches if (task := held.leave(ignore)) is not None]
    if tasks:
        await asyncio.wait(tasks)


async def test_only_so_many_targets_are_looked_at_at_a_time() -> None:
    present: list[int] = []
    most: list[int] = []
    watches = [watch(Crowd(number, present, most), Terms(), ignore) for number in range(200)]
    await asyncio.gather(*(held.looked.wait() for held in watches))
    await end(watches)
    assert len(most) == 200
    assert max(most) == 64


async def test_equal_probes_are_looked_at_once_until_nobody_listens() -> None:
    one, other = watch(Crowd(1), Terms(), ignore), watch(Crowd(1), Terms(), ignore)
    assert one is other
    await one.looked.wait()
    later = watch(Crowd(1), Terms(interval=5), ignore)
    assert later is not one
    assert later.state is State.UP
    await end([one, later])
    anew = watch(Crowd(1), Terms(), ignore)
    assert anew.state is State.UNKNOWN
    await end([anew])
