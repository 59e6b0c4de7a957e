"""What cannot be followed at the moment, since when, and one line in the log when that begins and when it ends."""

from __future__ import annotations

import logging
import threading
import time

_log = logging.getLogger("pydnsk8s.kube")


class Outages:
    """The watches of one API server that are in trouble; to be told from any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._told: set[str] = set()
        self._oldest = 0.0

    @property
    def trouble(self) -> str:
        """What is not being followed, and why; empty when all is well."""
        with self._lock:
            return "; ".join(f"{what}: {reason}" for what, reason in self._reasons.items())

    @property
    def age(self) -> float:
        """Seconds since what is known was last up to date; 0 while it is."""
        with self._lock:
            return self._age()

    def begin(self, what: str, reason: str, heard: float, *, alike: str = "") -> None:
        """Something cannot be followed, and was last heard of at that time of the monotonic clock.

        The log gets one line for each reason, or for all of the reasons that are ``alike``.
        """
        with self._lock:
            self._reasons[what] = reason
            self._heard[what] = heard
            if (alike or reason) in self._told:
                return
            self._told.add(alike or reason)
        silence = time.monotonic() - heard
        _log.warning("cannot follow %s at %s: %s; not heard of for %.0f s", what, self._url, reason, silence)

    def end(self, what: str) -> None:
        """Something is being followed again, or for the first time."""
        with self._lock:
            self._oldest = max(self._oldest, self._age())
            if self._reasons.pop(what, None) is None:
                return
            del self._heard[what]
            if self._reasons:
                return
            age, self._oldest = self._oldest, 0.0
            self._told.clear()
        _log.info("following the cluster at %s again, after %.0f s", self._url, age)

    def _age(self) -> float:
        return max((time.monotonic() - heard for heard in self._heard.values()), default=0.0)
