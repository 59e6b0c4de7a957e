"""When a queue is overload, told from how old its queries are when they are read."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.listen.backlog import Trend

_EVERY = 0.001  # seconds between two wakes


def overloaded(age: Callable[[float], float], seconds: float = 5.0) -> float | None:
    """After how many seconds it is overload if the queries are of this age after so many seconds."""
    trend = Trend()
    wakes = (number * _EVERY for number in range(round(seconds / _EVERY)))
    return next((now for now in wakes if trend.overload(age(now), now)), None)


def test_queries_that_go_on_being_too_old_are_overload_and_those_that_are_fresh_are_not() -> None:
    begun = overloaded(lambda _: 0.06)
    assert begun is not None
    assert 0.09 < begun < 0.11
    assert overloaded(lambda _: 0.04) is None


def test_queries_that_become_older_and_older_are_overload() -> None:
    begun = overloaded(lambda now: now / 2)
    assert begun is not None
    assert 0.19 < begun < 0.21


def test_a_hiccup_now_and_then_is_none() -> None:
    assert overloaded(lambda now: 0.2 if now % 1 < 0.05 else 0.01) is None


def test_who_was_held_up_catches_up() -> None:
    # At four fifths of what it can do, a server wins a fifth of a second each second.
    assert overloaded(lambda now: 0.18 - now / 5) is None


@given(st.lists(st.floats(0.051, 1.0), min_size=1, max_size=50))
def test_ages_that_go_up_and_down_cannot_put_it_off_for_ever(ages: list[float]) -> None:
    assert overloaded(lambda now: ages[round(now / _EVERY) % len(ages)]) is not None
