"""A coroutine begun runs its first step at once, and goes on as any task does."""

from __future__ import annotations

import asyncio

import pytest

from pydnsk8s.listen.begin import begin


async def test_what_does_not_wait_is_done_at_once() -> None:
    done = []

    async def work() -> None:
        done.append(True)

    before = asyncio.all_tasks()
    begin(work(), asyncio.get_running_loop())
    assert done
    assert asyncio.all_tasks() == before


async def test_what_waits_goes_on_later() -> None:
    steps = []
    gate = asyncio.Event()

    async def work() -> None:
        steps.append("first")
        await gate.wait()
        steps.append("second")
        await asyncio.sleep(0)
        steps.append("third")

    begin(work(), asyncio.get_running_loop())
    assert steps == ["first"]
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert steps == ["first", "second", "third"]


async def test_one_may_begin_inside_another() -> None:
    steps = []
    loop = asyncio.get_running_loop()

    async def inner() -> None:
        steps.append("inner")
        await asyncio.sleep(0)
        steps.append("inner again")

    async def outer() -> None:
        begin(inner(), loop)
        steps.append("outer")

    begin(outer(), loop)
    assert steps == ["inner", "outer"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert steps[-1] == "inner again"


@pytest.mark.parametrize("nested", [False, True])
async def test_a_timeout_begun_in_the_first_step_works(nested: bool) -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            outcome.set_result("in time")

    async def outer() -> None:
        await work()

    begin(outer() if nested else work(), asyncio.get_running_loop())
    async with asyncio.timeout(5):
        assert await outcome == "in time"


async def test_a_timeout_at_the_very_moment_of_an_answer_is_not_lost() -> None:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[str] = loop.create_future()
    answer: asyncio.Future[None] = loop.create_future()
    limits: list[asyncio.Timeout] = []

    async def work() -> None:
        try:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                await answer
                await loop.create_future()
        except TimeoutError:
            outcome.set_result("in time")

    begin(work(), loop)
    # Both are due in the next round of the loop, the time-out first.
    limits[0].reschedule(loop.time())
    answer.set_result(None)
    async with asyncio.timeout(2):
        assert await outcome == "in time"


async def test_an_exception_of_the_first_step_reaches_who_began_it() -> None:
    """On 3.12 an eager task holds it instead; either way it is not lost."""
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    async def work() -> None:
        raise LookupError("at once")

    try:
        begin(work(), loop)
    except LookupError as error:
        told.append(error)
    import gc

    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert [str(error) for error in told] == ["at once"]


async def test_an_exception_thrown_in_is_handed_on() -> None:
    caught: list[BaseException] = []
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await waiting
        except ValueError as error:
            caught.append(error)
            await asyncio.sleep(0)
            caught.append(error)

    begin(work(), asyncio.get_running_loop())
    waiting.set_exception(ValueError("no"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(caught) == 2
