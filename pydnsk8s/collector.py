"""How this process uses Python's collector of circles: seldom, for a look at all that is remembered takes long.

Rule: what happens again and again leaves no objects behind that refer to each other in a circle.
"""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from asyncio import selector_events
from functools import cache
from typing import Any

_PERIOD = 0.2  # seconds between two looks at what is new
_TIDY_PERIOD = 60.0
_WHOLE_PERIOD = 3600.0
_GROWN, _FEW = 1.25, 10_000  # times as many objects as there were, and so many more, are worth a look at all


def set_up() -> None:
    """Make the collector of a process that does nothing but serve look often at what is new, and seldom at all."""
    # Replies that are remembered look like a leak to it, and it would go over them time and again.
    gc.set_threshold(1_000, 20, 5_000)
    if sys.version_info < (3, 12):
        _break_circles()


def go_on(loop: asyncio.AbstractEventLoop) -> None:
    """Look at what is new from now on, a little at a time, and tidy up each minute."""
    _Rounds(loop).go()


def settle() -> None:
    """Let go of what has come to its end, and look no more at what there is now: it stays."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _Rounds:
    """What is done five times a second, each minute and each hour.

    Left alone the collector counts how many objects there are more than before. What takes the place of something else
    does not count, so it piles up, and the look at it that comes at last is a pause.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tidy = self._whole = loop.time() + _TIDY_PERIOD
        self._frozen = math.inf  # objects, after the last look at all of them

    def go(self) -> None:
        now = self._loop.time()
        if now < self._tidy:
            gc.collect(0)
        else:
            self._tidy = now + _TIDY_PERIOD
            _tidy_up()
        if now >= self._whole:
            self._whole = now + _WHOLE_PERIOD
            self._settle_if_grown()
        self._loop.call_later(_PERIOD, self.go)

    def _settle_if_grown(self) -> None:
        """Look for circles that have become old, if there may be many: that is a pause."""
        frozen = gc.get_freeze_count()
        if frozen > self._frozen * _GROWN + _FEW:
            settle()
            self._frozen = gc.get_freeze_count()
        else:
            self._frozen = min(self._frozen, frozen)


def _tidy_up() -> None:
    """Give back the room that Python keeps for tuples: 2,000 of each length, which nothing else may use."""
    gc.collect(1)
    gc.freeze()
    gc.collect()  # empties those lists, and has nothing to look at


@cache  # once for all
def _break_circles() -> None:
    """Let a connection that has ended go at once: before Python 3.12 it holds a method of its own for ever."""
    # There is no public way.
    transport: Any = vars(selector_events)["_SelectorSocketTransport"]
    end = transport._call_connection_lost  # noqa: SLF001

    def end_whole(self: Any, error: Exception | None) -> None:
        end(self, error)
        self._read_ready_cb = None

    transport._call_connection_lost = end_whole  # noqa: SLF001
