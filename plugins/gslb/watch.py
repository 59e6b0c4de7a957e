"""Looks at targets, peers and names again and again, once for all who want to know.

Rule: a watch lives as long as someone listens to it. A new configuration joins before the old one leaves, so a reload
that leaves what is checked as it was forgets nothing, whatever else it changes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from pydnsk8s import background, clock, log, metrics

from .health import Finding, Judgement, State

_AT_A_TIME = 64  # looks under way in the whole process
_LEAST_PAUSE = 0.02  # seconds
_LOG = log.plugin("gslb")
_DURATIONS = metrics.histogram(
    "coredns_gslb_check_duration_seconds", "Time a check took.", metrics.TIMES, "kind", "result"
)
_TRANSITIONS = metrics.counter(
    "coredns_gslb_transitions_total", "Changes of what is known of a target, a peer or a name.", "target", "to"
)
_RESULTS = {True: "passed", False: "failed", None: "unknown"}


class Probe(Protocol):
    """What to look at; equal ones are looked at once."""

    @property
    def kind(self) -> str:
        """What sort of look it is, for the metrics."""

    async def look(self, seconds: float) -> Finding:
        """Look, for so many seconds at most."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How often to look, and how many results in a row change a state."""

    interval: float = 10.0
    """Seconds from one look to the next."""
    jitter: float = 0.1
    """The part of the interval that a pause may be longer or shorter, so that checks do not meet."""
    timeout: float = 2.0
    """Seconds one look may take."""
    rise: int = 2
    fall: int = 3
    retain: float = float("inf")
    """Seconds without any word after which a peer counts as down."""

    def pause(self, judgement: Judgement) -> float:
        """Seconds until the next look."""
        # While the results contradict the state they come faster: all that is needed fits into one interval.
        needed = self.rise if judgement.state is State.DOWN else self.fall
        pause = self.interval / needed if judgement.against else self.interval
        return pause * random.uniform(1 - self.jitter, 1 + self.jitter)


class Watch:
    """One probe, its state, and who listens."""

    def __init__(self, probe: Probe, terms: Terms) -> None:
        self.probe = probe
        self.terms = terms
        self.judgement = Judgement()
        self.addresses: tuple[bytes, ...] = ()
        """What a peer or a name stands for, as told last."""
        self.reason = ""
        """Why the last look did not pass."""
        self.looked = asyncio.Event()
        """Set after the first look."""
        self._heard = clock.now()
        self._listeners: set[Callable[[], None]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """What is known."""
        return self.judgement.state

    @property
    def counts(self) -> bool:
        """Whether it may be answered with: unknown is not down."""
        return self.judgement.state is not State.DOWN

    @property
    def story(self) -> str:
        """The state and what led to it, for the operator."""
        if not self.reason:
            return str(self.state)
        needed = self.terms.rise if self.state is State.DOWN else self.terms.fall
        doubt = f" ({self.judgement.against} of {needed})" if self.judgement.against else ""
        return f"{self.state}: {self.reason}{doubt}"

    def recall(self, state: State, addresses: tuple[bytes, ...] = ()) -> None:
        """Begin with what was known earlier, unless more is known by now."""
        if self.state is State.UNKNOWN:
            self.judgement = Judgement(state)
        self.addresses = self.addresses or addresses

    def join(self, listener: Callable[[], None]) -> None:
        """Tell this listener of every change from now on."""
        self._listeners.add(listener)
        if self._task is None:
            self._task = background.start(self._repeat, _LOG, f"looking at {self.probe}")

    def leave(self, listener: Callable[[], None]) -> asyncio.Task[None] | None:
        """Tell it no more; the task to wait for if it was the last listener."""
        self._listeners.discard(listener)
        if self._listeners or self._task is None:
            return None
        for held in [key for key, watch in _watches.items() if watch is self]:
            del _watches[held]
        if not any(probe == self.probe for probe, _ in _watches):
            for state in State:
                _TRANSITIONS.remove(str(self.probe), state)
        self._task.cancel()
        return self._task

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            async with _slots():
                finding = await self._look()
            if self.take(finding):
                for listener in tuple(self._listeners):
                    listener()
            self.looked.set()
            await asyncio.sleep(max(begun + self.terms.pause(self.judgement) - loop.time(), _LEAST_PAUSE))

    async def _look(self) -> Finding:
        begun = clock.now()
        finding = await self.probe.look(self.terms.timeout)
        _DURATIONS.labels(self.probe.kind, _RESULTS[finding.passed]).observe(clock.now() - begun)
        return finding

    def take(self, finding: Finding) -> bool:
        """Take what a look has shown into account; whether anything has changed."""
        addresses = self.addresses if finding.addresses is None else finding.addresses
        moved = addresses != self.addresses
        self.addresses = addresses
        passed = finding.passed
        if passed is not None:
            self._heard = clock.now()
        elif clock.now() - self._heard > self.terms.retain:
            passed = False
        elif finding.reason != self.reason:
            _LOG.warning("%s: cannot tell, still %s: %s", self.probe, self.state, finding.reason)
        self.reason = finding.reason
        turned = passed is not None and self.judgement.take(passed, self.terms.rise, self.terms.fall)
        if turned:
            _LOG.info("%s is %s", self.probe, self.story)
            _TRANSITIONS.labels(str(self.probe), self.state).add(1)
        return moved or turned


_watches: dict[tuple[Probe, Terms], Watch] = {}
_limits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def watch(probe: Probe, terms: Terms, listener: Callable[[], None]) -> Watch:
    """Watch over this probe on these terms, the same for all who ask, and tell the listener of every change."""
    held = _watches.get((probe, terms))
    if held is None:
        held = Watch(probe, terms)
        for (other, _), earlier in _watches.items():
            if other == probe:
                held.recall(earlier.state, earlier.addresses)
        _watches[probe, terms] = held
    held.join(listener)
    return held


def _slots() -> asyncio.Semaphore:
    return _limits.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_A_TIME))
