"""Starts a coroutine at once, and makes a task of it only if its first step waits for something."""

from __future__ import annotations

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine, Generator
from typing import Any

_running: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly


def begin(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
    """Run the coroutine's first step now; a task costs ten times as much, so only those who wait get one."""
    if sys.version_info >= (3, 12):
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        if not task.done():
            _hold(task)
        return
    first, outer = _FirstStep(), asyncio.current_task(loop)
    if outer is not None:
        # Begun from within a task, as when a full connection is read on: it has to stand aside meanwhile.
        _leave_task(loop, outer)
    _enter_task(loop, first)  # type: ignore[arg-type]  # it is compared and cancelled, nothing else
    try:
        waited_for = coroutine.send(None)
    except StopIteration:
        return
    finally:
        _leave_task(loop, first)  # type: ignore[arg-type]
        if outer is not None:
            _enter_task(loop, outer)
    task = loop.create_task(_go_on(coroutine, waited_for))
    first.task = task
    _hold(task)


def _hold(task: asyncio.Task[None]) -> None:
    _running.add(task)
    task.add_done_callback(_running.discard)


class _FirstStep:
    """Stands for the task of a coroutine in its first step, so that ``asyncio.timeout`` works in it.

    On Python 3.12 and newer an eagerly started task does the same.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def cancel(self, msg: object = None) -> bool:
        return self.task.cancel(msg) if self.task is not None else False

    def cancelling(self) -> int:
        return self.task.cancelling() if self.task is not None else 0

    def uncancel(self) -> int:
        return self.task.uncancel() if self.task is not None else 0


class _Rest:
    """What is left of a coroutine that waits for a future."""

    __slots__ = ("coroutine", "waited_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waited_for: Any) -> None:
        self.coroutine = coroutine
        self.waited_for = waited_for

    def __await__(self) -> Generator[Any, Any, None]:
        waited_for = self.waited_for
        while True:
            thrown: BaseException | None = None
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine it was meant for
                thrown = error
            try:
                waited_for = self.coroutine.send(None) if thrown is None else self.coroutine.throw(thrown)
            except StopIteration:
                return


async def _go_on(coroutine: Coroutine[Any, Any, None], waited_for: Any) -> None:
    await _Rest(coroutine, waited_for)
