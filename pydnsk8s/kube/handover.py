"""From the threads that read to the event loop, in slices so thin that the answers do not wait for them.

Rule: a thread that has something to hand over waits for the loop, unless the loop has just been through with all there
was. So nothing piles up, and threads that have much to say give the interpreter away every millisecond. The later the
loop comes, for it has queries to answer, the longer it is left alone afterwards.
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
_LEAVE = 8  # times as long as the loop took to come, it is left alone: it has queries to answer
_LONGEST_PAUSE = 0.01  # seconds


class Handover:
    """Takes changes from any thread and makes them on the loop it was made in, each thread's in their order."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """To be held while decoding: two threads at it would keep the loop waiting twice as long."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Iterator[Change]] = deque()
        self._drained = threading.Condition()
        self._drained_at = 0.0
        self._due = self._pause = 0.0
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
            self._called, self._due = True, time.monotonic()
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
        self._pause = min(_LEAVE * (begun - self._due), _LONGEST_PAUSE)
        try:
            done = self._make_until(begun + _SLICE)
        finally:
            # Also past a change that fails, of which the loop tells: those behind it must not wait for ever.
            if not done:
                self._due = time.monotonic() + self._pause
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
