"""A query that waits for its plugins: in a coroutine only if one of them wants that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pydnsk8s.listen.begin import begin
from pydnsk8s.listen.port import Waiting
from pydnsk8s.message import Reply
from pydnsk8s.plugin import Later, Take


class Waiter(Protocol):
    """Who waits for something from elsewhere to answer a query with."""

    def give_up(self) -> None:
        """Wait no longer: the reply will not be sent."""


Held: TypeAlias = dict[Waiter, None]
"""Those who wait, the oldest first."""
Finish: TypeAlias = Callable[[Reply], None]


class Pending:
    """A query that waits for its plugins; it is held as long as somebody wants its reply."""

    __slots__ = ("_finish", "_held", "_loop", "_take", "_task", "_waiting")

    def __init__(self, waiting: Waiting, held: Held, finish: Finish, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting = waiting
        self._held = held
        self._finish = finish
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        held[self] = None

    def begin(self) -> None:
        """Send what has to be sent, and wait."""
        query, later, router, way, _, _ = self._waiting
        begun = router.begin(query, way, later, self._wake)
        if isinstance(begun, Later):
            begin(self._answer(begun), self._loop)
        else:
            self._take: Take = begun

    def take(self, take: Take, came: Any) -> None:
        """Go on with what came of something that was sent before."""
        self._take = take
        self._wake(came)

    def _wake(self, came: Any) -> None:
        query, later, router, way, _, _ = self._waiting
        # Also for who was given up meanwhile: others may wait for the same, and a cache may keep it.
        reply = router.take(query, way, later, self._take, came)
        if self not in self._held:
            return
        if isinstance(reply, Later):
            begin(self._answer(reply), self._loop)
            return
        del self._held[self]
        self._finish(reply)

    async def _answer(self, later: Later) -> None:
        self._task = asyncio.current_task(self._loop)
        try:
            reply = await self._waiting.router.answer(self._waiting.query, self._waiting.way, later)
        finally:
            self._held.pop(self, None)
        self._finish(reply)

    def give_up(self) -> None:
        """Hold it no longer: its reply will not be sent."""
        del self._held[self]
        if self._task is not None:
            self._task.cancel()
