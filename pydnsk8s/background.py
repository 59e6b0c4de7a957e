"""Work in the background that a fault of our own interrupts and does not end, and waiting until work is done.

Rule: what is kept fresh in the background must not go stale.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_PAUSE = 5.0  # seconds between a fault and the next try
_LOOK = 0.01  # seconds between two looks whether something is done


def start(
    work: Callable[[], Coroutine[Any, Any, None]],
    log: logging.Logger,
    what: str,
    interrupted: Callable[[str], None] = lambda _: None,
) -> asyncio.Task[None]:
    """Begin the work as a task; after a fault it is logged, told to ``interrupted``, and soon begun anew."""
    return asyncio.get_running_loop().create_task(_go_on(work, log, what, interrupted))


async def until(done: Callable[[], bool], seconds: float) -> None:
    """Return once it is done, or after so many seconds: for many small things, whose end no one event tells."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(_LOOK)


async def _go_on(
    work: Callable[[], Coroutine[Any, Any, None]],
    log: logging.Logger,
    what: str,
    interrupted: Callable[[str], None],
) -> None:
    while True:
        try:
            return await work()
        except Exception as error:
            log.exception("%s was interrupted by a fault and goes on in %g s", what, _PAUSE)
            interrupted(f"interrupted by a fault: {error!r}")
        await asyncio.sleep(_PAUSE)
