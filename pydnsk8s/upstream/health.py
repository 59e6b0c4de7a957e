"""Whether an upstream can be expected to answer: checked only after it has failed, until it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pydnsk8s import background, log
from pydnsk8s.metrics import Counter
from pydnsk8s.upstream.outstanding import Unanswered

_LOG = log.plugin("forward")


class Health:
    """What is known of one upstream's health."""

    def __init__(self, check: Callable[[], Awaitable[bytes]], every: float, max_fails: int, failures: Counter) -> None:
        self._check = check
        self._every = every
        self._max_fails = max_fails
        self._failures = failures
        self._checking: asyncio.Task[None] | None = None
        self._fails = 0
        self.doubtful = False
        """Whether it has failed and not answered since."""

    @property
    def down(self) -> bool:
        """Whether more checks than allowed have failed in a row."""
        return self._fails > self._max_fails > 0

    def doubt(self) -> None:
        """Begin to check, because an exchange has just failed."""
        if not self.doubtful and self._max_fails:
            self.doubtful = True
            self._checking = background.start(self._until_it_answers, _LOG, "checking an upstream")

    async def _until_it_answers(self) -> None:
        while True:
            try:
                await self._check()
            except Unanswered:
                self._fails += 1
                self._failures.add(1)
                await asyncio.sleep(self._every)
            else:
                # Any reply will do: a server that refuses "." is there and may well know our names.
                self._fails = 0
                self._checking = None
                self.doubtful = False
                return

    async def stop(self) -> None:
        """End the checks, and hold nothing against the upstream that will not be checked any more."""
        self._fails = self._max_fails = 0
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
            self._checking = None
            self.doubtful = False
