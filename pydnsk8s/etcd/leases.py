"""How long the leases of some keys have left, as etcd said when it was last asked.

Whoever holds a lease may prolong it without a word to us, so what is known here is the least that is left, never more.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from pydnsk8s import clock
from pydnsk8s.keep import Stamp

_SHORTEST_PAUSE = 1.0  # seconds between two questions about one lease


class Leases:
    """The leases in use; etcd is asked again about each when half of what it had left is over."""

    def __init__(self) -> None:
        self._users: Counter[int] = Counter()
        self._ends: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._stamps: dict[int, Stamp] = {}
        self._more = asyncio.Event()

    def __len__(self) -> int:
        return len(self._users)

    def use(self, lease: int) -> None:
        """Take note that a key has this lease; 0 stands for none."""
        if lease:
            self._users[lease] += 1
            if lease not in self._due:
                self._due[lease] = 0.0
                self._more.set()

    def leave(self, lease: int) -> None:
        """Take note that a key no longer has this lease."""
        if lease:
            self._users[lease] -= 1
            if not self._users[lease]:
                del self._users[lease], self._due[lease]
                self._ends.pop(lease, None)
                self._retire(lease)

    def left(self, lease: int) -> float:
        """The seconds a lease has left, at least; 0 if that is not known yet. Under :meth:`stamp`."""
        return max(0.0, self._ends.get(lease, 0.0) - clock.now())

    def stamp(self, lease: int) -> Stamp:
        """Retired when more is known about the lease than that it gets shorter by the second."""
        return self._stamps.setdefault(lease, Stamp())

    def due(self) -> list[int]:
        """The leases to ask about now."""
        now = clock.now()
        return [lease for lease, due in self._due.items() if due <= now]

    def learn(self, lease: int, left: float) -> None:
        """Take etcd's word for what a lease has left."""
        if lease in self._users:
            now = clock.now()
            self._ends[lease] = now + left
            self._due[lease] = now + max(left / 2, _SHORTEST_PAUSE)
            self._retire(lease)

    async def wait(self) -> None:
        """Return when there is something to ask about."""
        self._more.clear()
        if not self._due:
            await self._more.wait()
            return
        pause = max(0.0, min(self._due.values()) - clock.now())
        try:
            async with asyncio.timeout(pause):
                await self._more.wait()
        except TimeoutError:
            return

    def _retire(self, lease: int) -> None:
        stamp = self._stamps.pop(lease, None)
        if stamp is not None:
            stamp.retire()
