"""Errors that come in numbers and are told of in one line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydnsk8s import log

if TYPE_CHECKING:
    import re

_log = log.plugin("errors")


class Flood:
    """Counts the errors that match a pattern, and logs the count some time after the first."""

    def __init__(self, pattern: re.Pattern[str], seconds: float, summary: str, level: int, *, show_first: bool) -> None:
        self.pattern = pattern
        self.seconds = seconds
        self.summary = summary
        """What the line says behind the count."""
        self.level = level
        self.show_first = show_first
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, line: str) -> None:
        """Count one more; ``line`` is how it would be logged if it were alone."""
        self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self.end)
            if self.show_first:
                _log.log(self.level, "%s", line)

    def end(self) -> None:
        """Log the count now, and begin anew with the next error."""
        if self._timer is None:
            return
        self._timer.cancel()
        count, self._count, self._timer = self._count, 0, None
        if count > 1 or not self.show_first:
            _log.log(self.level, "%d %s", count, self.summary)
