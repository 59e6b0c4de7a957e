"""The shelves are a dict, and stay small however many keys have come and gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.kube.shelves import Shelves

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


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    shelves = Shelves[int, None]()
    for key in range(10_000):
        shelves[key] = None
    size = sum(shelf.__sizeof__() for shelf in shelves._shelves)
    for key in range(200_000):
        del shelves[key]
        shelves[key + 10_000] = None
    assert len(shelves) == 10_000
    assert sum(shelf.__sizeof__() for shelf in shelves._shelves) <= 1.5 * size
