"""How this process uses Python's collector of circles: seldom, for a look at all that is remembered takes long.

Rule: what happens again and again leaves no objects behind that refer to each other in a circle.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio import selector_events
from functools import cache
from typing import Any

_PERIOD = 0.2  # seconds between two looks at what is new


def set_up() -> None:
    """Make the collector of a process that does nothing but serve look often at what is new, and hardly ever at all."""
    # Replies that are remembered look like a leak to it, and it would go over them time and again.
    gc.set_threshold(1_000, 20, 5_000)
    if sys.version_info < (3, 12):
        _break_circles()


def go_on(loop: asyncio.AbstractEventLoop) -> None:
    """Look at what is new from now on, a little at a time.

    Left alone the collector counts how many objects there are more than before. What takes the place of something else
    does not count, so it piles up, and the look at it that comes at last is a pause.
    """
    gc.collect(0)
    loop.call_later(_PERIOD, go_on, loop)


def settle() -> None:
    """Let go of what has come to its end, and look no more at what there is now: it stays."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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
