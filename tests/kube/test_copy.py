"""A copy of the index stays as it is, and what changes afterwards has a later time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.kube.index import ZONE, Index
from pydnsk8s.kube.objects import Namespace

from .test_index import Step, everything, seen, steps, take


@given(st.lists(steps, max_size=8), st.lists(steps, max_size=8))
def test_a_copy_stays_as_it_is(before: list[Step], after: list[Step]) -> None:
    index = Index()
    for step in before:
        take(index, step)
    then, copy = everything(index), index.copy()
    for step in after:
        take(index, step)
    assert everything(copy) == then


@given(st.lists(st.tuples(steps, st.booleans(), st.integers(-2, 2)), max_size=12))
def test_two_copies_that_differ_have_different_times(taken: list[tuple[Step, bool, int]]) -> None:
    now = 1000
    index = Index(clock=lambda: now)
    copy = index.copy()
    for step, copies, seconds in taken:
        now += seconds  # clocks are also set back
        before = index.changed_at
        take(index, step)
        assert index.changed_at >= before
        if copies:
            latest = index.copy()
            if seen(latest, ZONE) != seen(copy, ZONE):
                assert latest.changed_at > copy.changed_at
            copy = latest


def test_without_copies_the_time_does_not_run_ahead_of_the_clock() -> None:
    index = Index(clock=lambda: 1000)
    for name in ("a", "b", "c"):
        index.put(Namespace(name))
    assert index.changed_at == 1000


def test_a_copy_gives_out_no_stamps_of_the_original() -> None:
    index = Index()
    assert index.copy().stamp(ZONE) is not index.stamp(ZONE)
