"""From the threads that read to the event loop, in slices so thin that the answers do not wait for them.

Rule: a thread that hands changes over waits until they are made. So nothing piles up, and a thread that has much to
say gives the interpreter away after each piece.
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

_SLICE = 0.002  # seconds of changes between two looks at the sockets


class Handover:
    """Takes changes from any thread and makes them on the loop it was made in, each thread's in their order."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """To be held while decoding: two threads at it would keep the loop waiting twice as long."""
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Iterator[Change], threading.Event]] = deque()
        self._called = False
        self._closed = False

    def give(self, changes: Iterable[Change]) -> None:
        """Have the changes made, and wait until they are; once it is closed they are dropped."""
        made = threading.Event()
        with self._lock:
            if self._closed:
                return
            self._waiting.append((iter(changes), made))
            called, self._called = self._called, True
        try:
            if not called:
                self._loop.call_soon_threadsafe(self._make)
        except RuntimeError:
            return  # the loop is gone without a word, and with it whoever wanted to know
        made.wait()

    def close(self) -> None:
        """Make no more changes, and let go of the threads that wait."""
        with self._lock:
            self._closed = True
            while self._waiting:
                self._waiting.popleft()[1].set()

    def _make(self) -> None:
        end = time.monotonic() + _SLICE
        while True:
            with self._lock:
                if not self._waiting:
                    self._called = False
                    return
                changes, made = self._waiting[0]
            for change in changes:
                change()
                if time.monotonic() > end:
                    self._loop.call_soon(self._make)
                    return
            self._waiting.popleft()
            made.set()
