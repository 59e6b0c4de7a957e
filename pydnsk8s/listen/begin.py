"""Starts a coroutine at once, and makes it wait as a task does only if its first step waits for something."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine
from typing import Any

_running: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly


def begin(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
    """Run the coroutine's first step now; most need no second one, and a task of asyncio's costs ten times as much."""
    if sys.version_info >= (3, 12):
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        if not task.done():
            _running.add(task)
            task.add_done_callback(_running.discard)
        return
    contextvars.copy_context().run(Run(coroutine, loop).step)


class Run:
    """A coroutine under way: as much of a task as ``asyncio.timeout`` and futures want, for Python 3.11.

    An exception of the first step reaches who began it, a later one the loop's exception handler.
    """

    __slots__ = ("_cancels", "_coroutine", "_loop", "_must_cancel", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._waits_for: asyncio.Future[Any] | None = None
        self._cancels = 0
        self._must_cancel = False

    def step(self) -> None:
        """Run until the coroutine waits or ends."""
        loop, outer = self._loop, asyncio.current_task(self._loop)
        if outer is not None:
            # Begun from within a task, as when a full connection is read on: it has to stand aside meanwhile.
            _leave_task(loop, outer)
        _enter_task(loop, self)  # type: ignore[arg-type]  # it is compared and cancelled, nothing else
        try:
            if self._must_cancel:
                self._must_cancel = False
                future = self._coroutine.throw(asyncio.CancelledError())
            else:
                future = self._coroutine.send(None)
        except StopIteration:
            return
        finally:
            _leave_task(loop, self)  # type: ignore[arg-type]
            if outer is not None:
                _enter_task(loop, outer)
        self._wait(future)

    def _wait(self, future: asyncio.Future[Any] | None) -> None:
        self._waits_for = future
        if future is None:
            # A bare yield, as of asyncio.sleep(0).
            self._loop.call_soon(self._go_on, None)
            return
        # The mark of a future that is awaited, as opposed to one that was yielded by mistake.
        future._asyncio_future_blocking = False  # noqa: SLF001 - tasks of any kind have to take it off
        future.add_done_callback(self._go_on)

    def _go_on(self, _: object) -> None:
        self._waits_for = None
        try:
            self.step()
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - there is nobody else to tell
            message = "an exception ended a coroutine"
            self._loop.call_exception_handler({"message": message, "exception": error})

    def cancel(self, msg: object = None) -> bool:
        """Have what it waits for be cancelled, so that the coroutine gets CancelledError."""
        self._cancels += 1
        if self._waits_for is None or not self._waits_for.cancel(msg):
            # What it waited for is done in this same round: the next step gets the error, or a time-out would be lost.
            self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """How many cancellations are under way."""
        return self._cancels

    def uncancel(self) -> int:
        """Take one of them back; how many are left."""
        self._cancels -= 1
        return self._cancels
