"""Waiting, within reason, for what is followed to be known in full for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

_LOOK = 0.02  # seconds between two looks
_TELL = 0.5  # seconds between two words to whoever waits


class Followed(Protocol):
    """What a source fills."""

    @property
    def synced(self) -> bool:
        """Whether everything has been listed in full at least once."""


async def first(followed: Followed, seconds: float, waiting: Callable[[], None] = lambda: None) -> bool:
    """Wait for the first full list, for so long at most; whether it has come. ``waiting`` is called now and then."""
    loop = asyncio.get_running_loop()
    begun, told = loop.time(), -_TELL
    while not followed.synced:
        waited = loop.time() - begun
        if waited >= seconds:
            return False
        if waited - told >= _TELL:
            waiting()
            told = waited
        await asyncio.sleep(_LOOK)
    return True
