"""One question on its way, and the queries that wait for its answer."""

from __future__ import annotations

import asyncio

from pydnsk8s.message import Reply


class Flight:
    """One question on its way, and the queries that wait for its answer."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Reply | None]] = []

    async def join(self) -> Reply | None:
        """The answer when it arrives; None if whoever went for it did not come back."""
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return await future

    def land(self, reply: Reply | None) -> None:
        """Let go all who wait."""
        for future in self._waiting:
            if not future.done():
                future.set_result(reply)
