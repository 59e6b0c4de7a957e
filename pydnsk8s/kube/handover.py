"""From the threads that read to the event loop, in slices so thin that the answers do not wait for them.

Rule: a thread that has something to hand over waits for the loop, unless the loop has just been through with all there
was. So nothing piles up, and threads that have much to say give the interpreter away every millisecond. The busier
the loop is with queries, the longer it is left alone in between.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

Change: TypeAlias = Callable[[], None]
"""A call of the sink, to be made on the event loop's thread."""

_SLICE = 0.0005  # seconds of changes between two looks at the sockets
_AHEAD = 0.001  # seconds that the threads may work on without the loop
_PAUSE = 0.01  # seconds that a loop without any time left is left alone in between
_IDLE = 0.1  # the share of its time that coming alone may take


class Handover:
    """Takes changes from any thread and makes them on the loop it was made in, each thread's in their order."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """To be held while decoding: two threads at it would keep the loop waiting twice as long."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Iterator[Change]] = deque()
        self._drained = threading.Condition()
        self._drained_at = 0.0
        self._begun, self._worked = time.monotonic(), time.thread_time()
        self._pause = 0.0
        self._called = False
        self._closed = False

    def give(self, changes: Iterable[Change]) -> None:
        """Have the changes made soon; once it is closed they are dropped."""
        time.sleep(max(0.0, self._drained_at + self._pause - time.monotonic()))
        with self._drained:
            if self._closed:
                return
            self._waiting.append(iter(changes))
            if not self._called:
                self._call()
            if time.monotonic() > self._drained_at + _AHEAD:
                self._drained.wait_for(lambda: self._closed or not self._waiting)

    def _call(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._make)
            self._called = True
        except RuntimeError:
            self._closed = True  # the loop is gone without a word, and with it whoever wanted to know

    def close(self) -> None:
        """Make no more changes, and let go of the threads that wait."""
        with self._drained:
            self._closed = True
            self._waiting.clear()
            self._drained.notify_all()

    def _make(self) -> None:
        begun, done = time.monotonic(), False
        # How busy the loop has been otherwise: its own processor time tells queries from waiting for the threads.
        share = (time.thread_time() - self._worked) / max(begun - self._begun, _SLICE)
        self._begun, self._pause = begun, _PAUSE * max(0.0, min(share, 1.0) - _IDLE)
        try:
            done = self._make_until(begun + _SLICE)
        finally:
            self._worked = time.thread_time()
            # Also past a change that fails, of which the loop tells: those behind it must not wait for ever.
            if not done:
                self._loop.call_later(self._pause, self._make)

    def _make_until(self, end: float) -> bool:
        """Make changes until then; whether these were all."""
        while (changes := self._next()) is not None:
            for change in changes:
                change()
                if time.monotonic() > end:
                    return False
            self._drop(changes)
        return True

    def _next(self) -> Iterator[Change] | None:
        with self._drained:
            self._called = bool(self._waiting)
            return self._waiting[0] if self._waiting else None

    def _drop(self, changes: Iterator[Change]) -> None:
        with self._drained:
            if self._waiting and self._waiting[0] is changes:  # else a change has closed us
                self._waiting.popleft()
            if not self._waiting:
                self._drained_at = time.monotonic()
                self._drained.notify_all()
