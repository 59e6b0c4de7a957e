"""Questions on their way, and the queries that wait for the answers."""

from __future__ import annotations

import asyncio

from pydnsk8s import codes
from pydnsk8s.message import Query, Reply


class Flights:
    """The questions on their way, by their keys; how many wait is bounded by the server, which bounds its queries."""

    def __init__(self) -> None:
        # Few have company: a list is made for the first who joins.
        self._waiting: dict[bytes, list[asyncio.Future[Reply | None]] | None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: bytes) -> bool:
        return key in self._waiting

    def begin(self, key: bytes) -> None:
        """Go for an answer; who asks the same meanwhile may join."""
        self._waiting[key] = None

    async def join(self, key: bytes) -> Reply | None:
        """The answer that another query went for when it arrives; None if that one did not come back."""
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[key]
        if waiting is None:
            waiting = self._waiting[key] = []
        waiting.append(future)
        return await future

    def land(self, key: bytes, reply: Reply | None) -> None:
        """Let go all who wait; None if there is no answer for them."""
        for future in self._waiting.pop(key) or ():
            if not future.done():
                future.set_result(reply)


def with_ad(query: Query) -> Query:
    """The query as it is asked, whoever asks."""
    # RFC 6840 section 5.7: with AD we learn whether the data are authentic, for those who want to know.
    return query if query.flags & codes.AD else query.with_(flags=query.flags | codes.AD)
