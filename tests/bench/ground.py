"""A running server, what is around it, and how it is measured: what a query costs and takes, and what is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydnsk8s import codes
from tests.bench.counted import REPLAYS
from tests.bench.course import Course
from tests.bench.expiring import Expiring
from tests.bench.load import Round, ask, asking
from tests.bench.openloop import percentile
from tests.bench.ours import ANSWERED, Ours
from tests.bench.question import GOOD, Sheet
from tests.bench.servers import ROOT, SERVER_CORE, BenchError, Server, worked
from tests.bench.tiers import Cluster

_LONG = 120.0  # seconds at most for a sheet that is played to its end
_OWN = 10_000.0  # queries a second of the client with its own pace where others can ask the rest
FASTEST = 40_000.0
"""Queries a second that the client with its own pace can send."""


@dataclass(slots=True)
class Pace:
    """What a client with its own pace saw."""

    rate: float
    """Queries a second."""
    sent: Counter[str] = field(default_factory=Counter)
    """By their groups."""
    taken: dict[str, Counter[int]] = field(default_factory=dict)
    """Microseconds of the replies, by groups."""
    late: int = 0
    """Queries that left late: the machine was busy."""
    missed: int = 0
    """Replies that came but could not be taken in: the machine was busy. They count as lost as well."""

    failed: int = 0
    """Replies that tell of a failure, where those are allowed."""

    seconds: float = 0.0
    """How long it took, the client's start included."""
    taken_away: float = 0.0
    """Seconds that the server's core worked for others."""

    @property
    def others(self) -> float:
        """The share of the server's core that others had."""
        return self.taken_away / self.seconds if self.seconds else 0.0

    @property
    def doubt(self) -> float:
        """The share of queries that say more about the machine than about the server."""
        return (self.late + self.missed) / max(1, self.sent.total())

    def add(self, more: Pace) -> None:
        """Count what came later in as well."""
        self.sent += more.sent
        self.late += more.late
        self.missed += more.missed
        self.failed += more.failed
        self.seconds += more.seconds
        self.taken_away += more.taken_away
        for group, taken in more.taken.items():
            self.taken[group] = self.taken.get(group, Counter()) + taken

    def lost(self, groups: tuple[str, ...]) -> float:
        """The share that was not answered."""
        sent = sum(self.sent[group] for group in groups)
        return 1 - self.all_taken(groups).total() / sent if sent else 0.0

    def all_taken(self, groups: tuple[str, ...]) -> Counter[int]:
        """The microseconds of the groups together."""
        return sum((self.taken.get(group, Counter()) for group in groups), Counter())


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a phase."""

    name: str
    busy: Round
    """As fast as it can."""
    pace: Pace
    """At half that rate."""
    hits: float
    """The share of replies that came from the gate."""
    memory: float
    """MB at the end."""
    judged: tuple[str, ...] = GOOD
    """The groups of questions that the latencies and losses shown are of."""
    notes: dict[str, float] = field(default_factory=dict)
    target: str = ""
    """What is aimed at, in words."""

    def within(self, share: float) -> float:
        """The milliseconds within which this share of the replies came."""
        return percentile(self.pace.all_taken(self.judged), share)

    @property
    def capacity(self) -> float:
        """Queries a second that a whole core answers."""
        return 1e6 / self.busy.cost


@dataclass(frozen=True, slots=True)
class Ground:
    """The server, and what is around it."""

    course: Course
    ours: Ours
    upstream: Server
    api: Expiring
    cluster: Cluster
    sheet: Sheet
    """The mix that applications ask."""

    def warm_up(self) -> None:
        """Ask everything twice: the gate remembers much only from the second time on."""
        ask(self.ours, self.sheet, _LONG, times=2)

    def busy(self, sheet: Sheet, seconds: float, times: int = 0) -> tuple[Round, float]:
        """Ask as fast as the server can; also the share of hits."""
        before = self.ours.counts()
        busy = ask(self.ours, sheet, seconds, times=times)
        return busy, share_of_hits(before, self.ours.counts())

    def measure(
        self,
        name: str,
        sheet: Sheet | None = None,
        *,
        paced: Sheet | None = None,
        judged: tuple[str, ...] = GOOD,
        failing: bool = False,
        between: Callable[[], None] = lambda: None,
        times: int = 0,
    ) -> Measured:
        """Ask as fast as the server can, then at half that rate whatever comes back."""
        sheet = sheet or self.sheet
        busy, hits = self.busy(sheet, _LONG if times else self.course.seconds, times)
        between()
        # Where each question comes once, or may fail, it asks alone.
        alone, half = bool(times) or paced is not None, busy.rate / 2
        rate = min(half, FASTEST if alone else _OWN)
        others = 0.0 if alone else half - rate
        seconds = min(self.course.seconds, len(sheet.questions) * times / rate) if times else self.course.seconds
        with self._crowd(sheet, others):
            pace = self.pace(paced or sheet, rate, seconds, failing=failing)
        pace.rate += others
        measured = Measured(name, busy, pace, hits, self.ours.resident, judged)
        self.course.tell(told(measured))
        return measured

    @contextmanager
    def _crowd(self, sheet: Sheet, rate: float) -> Iterator[None]:
        """Others ask so many queries a second while the block lasts."""
        if rate < 1:
            yield
            return
        with asking(self.ours, sheet, _LONG, pace=rate) as begun:
            yield
            if not begun.lasts:
                raise BenchError(f"dnsperf ended too early: {begun.outcome()}")

    def pace(
        self, sheet: Sheet, rate: float, seconds: float, *, failing: bool = False, spells: Path | None = None
    ) -> Pace:
        """Ask at this rate; BenchError if an answer is not as expected. Only queries due in the spells count."""
        words = (str(self.ours.port), str(sheet.packets(failing=failing)), f"{rate:.0f}", f"{seconds:g}")
        command = [sys.executable, "-m", "tests.bench.openloop", *words, *([str(spells)] if spells else ())]
        began, cpu, core = time.monotonic(), self.ours.cpu, worked(SERVER_CORE)
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchError(f"the client with its own pace: {ran.stderr}")
        outcome = json.loads(ran.stdout)
        if outcome["wrong"]:
            raise BenchError(f"{self.ours.name} answered {sheet.path.name} wrongly: {outcome['wrong']}")
        failed = sum(outcome["codes"].get(str(code), 0) for code in (codes.SERVFAIL, codes.REFUSED))
        pace = Pace(rate, late=outcome["late"], missed=outcome["missed"], failed=failed)
        pace.seconds = time.monotonic() - began
        pace.taken_away = max(0.0, worked(SERVER_CORE) - core - self.ours.cpu + cpu)
        for group, seen in outcome["groups"].items():
            pace.sent[group] = seen["sent"]
            pace.taken[group] = Counter({int(key): number for key, number in seen["latencies"].items()})
        return pace


def share_of_hits(before: dict[str, float], after: dict[str, float]) -> float:
    """Of the replies in between, the share that came from the gate."""
    replays, replies = (after[key] - before.get(key, 0) for key in (REPLAYS, ANSWERED))
    return replays / replies if replies else 0.0


def told(measured: Measured) -> str:
    """A phase as the progress shows it."""
    busy, pace = measured.busy, measured.pace
    return (
        f"{measured.name}: {busy.cost:.2f} us a query, {busy.rate:.0f} q/s, {busy.lost} lost; at {pace.rate:.0f} q/s "
        f"half within {measured.within(0.5):.2f} ms, 99 % within {measured.within(0.99):.2f} ms, "
        f"{pace.lost(measured.judged):.2%} lost, {pace.doubt:.0%} in doubt, {pace.others:.0%} of its core for others; "
        f"{measured.hits:.0%} hits, {measured.memory:.1f} MB"
    )
