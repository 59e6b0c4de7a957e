"""Changes from threads reach the loop in their order, without holding it up, and not after the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial

import pytest

from pydnsk8s.kube import handover
from pydnsk8s.kube.handover import Change, Handover

from .until import until


async def test_each_threads_changes_are_made_in_their_order() -> None:
    made: list[tuple[int, int]] = []
    over = Handover()

    def work(thread: int) -> None:
        for number in range(50):
            over.give([partial(made.append, (thread, number)), partial(made.append, (thread, number))])

    await asyncio.gather(*(asyncio.to_thread(work, thread) for thread in range(4)))
    await until(lambda: len(made) == 400)
    for thread in range(4):
        mine = [number for by, number in made if by == thread]
        assert mine == sorted(mine)


async def test_changes_are_drawn_where_they_are_made() -> None:
    made: list[str] = []
    over = Handover()

    def second() -> Iterator[Change]:
        first_seen = list(made)
        yield lambda: made.extend(first_seen)

    await asyncio.to_thread(over.give, [partial(made.append, "a")])
    await asyncio.to_thread(over.give, second())
    await until(lambda: made == ["a", "a"])


async def test_much_to_do_does_not_hold_up_the_loop() -> None:
    over = Handover()
    turns = done = 0

    def change() -> None:
        nonlocal done
        done += 1
        time.sleep(handover._SLICE / 2)

    giving = asyncio.create_task(asyncio.to_thread(over.give, [change] * 40))
    while done < 40:
        await asyncio.sleep(0)
        turns += 1
    await giving
    assert turns >= 10


async def test_a_thread_far_ahead_waits_until_it_is_let_go() -> None:
    over = Handover()
    given: list[int] = []

    def work() -> None:
        for number in range(3):
            over.give([])
            given.append(number)
            time.sleep(2 * handover._AHEAD)

    working = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - the loop is busy elsewhere
    assert given == []
    over.close()
    await working
    assert given == [0, 1, 2]


async def test_nothing_is_made_after_the_end() -> None:
    over = Handover()
    made: list[int] = []
    giving = asyncio.create_task(asyncio.to_thread(over.give, [partial(made.append, 1)]))
    await asyncio.sleep(0)
    over.close()
    await giving
    await asyncio.to_thread(over.give, [partial(made.append, 2)])
    await asyncio.sleep(0.01)
    assert made == []


def test_a_loop_that_is_gone_lets_the_threads_go() -> None:
    async def begin() -> Handover:
        return Handover()

    over = asyncio.run(begin())
    over.give([])
    over.give([])


async def test_a_change_that_fails_holds_up_none_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    over = Handover()
    made: list[int] = []

    def fail() -> None:
        raise KeyError("what nobody expected")

    await asyncio.to_thread(over.give, [partial(made.append, 1), fail, partial(made.append, 2)])
    await asyncio.to_thread(over.give, [partial(made.append, 3)])
    await until(lambda: made == [1, 2, 3])
    assert "what nobody expected" in caplog.text
