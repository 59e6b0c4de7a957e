"""The shelves are a dict, and stay small however many keys have come and gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.kube.shelves import NUMBER, Shelves

keys = st.integers(0, 3000)


@given(st.lists(st.tuples(keys, st.integers() | st.none())))
def test_they_hold_what_a_dict_holds(steps: list[tuple[int, int | None]]) -> None:
    shelves, plain = Shelves[int, int](), dict[int, int]()
    for key, value in steps:
        before = shelves.copy()
        if value is not None:
            shelves[key] = value
            plain[key] = value
        elif key in plain:
            del shelves[key]
            del plain[key]
        assert before.get(key, -1) == before.copy().get(key, -1)
    assert len(shelves) == len(plain)
    for key in range(3001):
        assert (key in shelves) == (key in plain)
        assert shelves.get(key, -1) == plain.get(key, -1)


def test_a_copy_is_apart() -> None:
    first = Shelves[str, int]()
    first["a"] = 1
    second = first.copy()
    second["a"] = 2
    del first["a"]
    assert ("a" in first, second.get("a", 0)) == (False, 2)


@pytest.mark.parametrize("each", [10, 39, 160, 470, 640])
def test_keys_that_come_and_go_leave_nothing_behind(each: int) -> None:
    """However full a shelf is: about 470 keys each are those of a cluster of 10,000 services."""
    number = each * NUMBER
    shelves = Shelves[int, None]()
    for key in range(number):
        shelves[key] = None
    size = sum(shelf.__sizeof__() for shelf in shelves._shelves)
    for key in range(2 * number):
        shelves[key + number] = None
        del shelves[key]
    assert len(shelves) == number
    assert sum(shelf.__sizeof__() for shelf in shelves._shelves) <= size
