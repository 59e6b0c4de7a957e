"""Work in the background that a fault of our own interrupts and does not end: what it keeps fresh must not go stale."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_PAUSE = 5.0  # seconds between a fault and the next try


def start(
    work: Callable[[], Coroutine[Any, Any, None]],
    log: logging.Logger,
    what: str,
    interrupted: Callable[[str], None] = lambda _: None,
) -> asyncio.Task[None]:
    """Begin the work as a task; after a fault it is logged, told to ``interrupted``, and soon begun anew."""
    return asyncio.get_running_loop().create_task(_go_on(work, log, what, interrupted))


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
