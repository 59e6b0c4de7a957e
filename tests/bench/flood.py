"""A random subdomain attack: what becomes of good queries when as many come for names that nobody has."""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.bench import mixes
from tests.bench.blasting import blasting
from tests.bench.counted import REPLAYS
from tests.bench.ground import FASTEST, Ground, Measured, Pace, told
from tests.bench.ours import ANSWERED
from tests.bench.question import GOOD, Sheet

_TARGET = "kept >= 0.9, hits flooded as alone, MB bounded"


def flood(ground: Ground) -> Measured:
    """The same good load twice, half of what can be answered: alone, and with as many queries of the flood on top."""
    ours, course = ground.ours, ground.course
    busy, _ = ground.busy(ground.sheet, course.seconds)
    rate = min(0.5e6 / busy.cost, FASTEST)
    alone = _asked(ground, rate)
    held = ours.resident
    bad = Sheet(course.folder / "flood", mixes.flood(ground.cluster, seed=course.seed))
    with blasting(ours, bad, rate, str(course.seed)) as blast:
        flooded = _asked(ground, rate)
        offered = blast.stop() / (time.monotonic() - blast.began)
    notes = {
        "good q/s alone": alone.good / course.seconds, "flooded": flooded.good / course.seconds,
        "kept": flooded.good / alone.good, "hits alone": alone.hits, "hits flooded": flooded.hits,
        "lost alone": alone.lost, "lost flooded": flooded.lost, "flood q/s": offered, "of it answered": flooded.bad,
        "MB before": held, "MB after": ours.resident,
    }  # fmt: skip
    measured = Measured("flood", busy, flooded.pace, flooded.hits, ours.resident, notes=notes, target=_TARGET)
    course.tell(told(measured))
    return measured


class _Asked(NamedTuple):
    """What the good queries got."""

    pace: Pace
    good: int
    """Replies that they wanted: one that tells of a failure is none."""
    hits: float
    """The share of their replies that came from the gate. None of the flood's do, for each of its names is new."""
    bad: float
    """Replies a second to the flood."""

    @property
    def lost(self) -> float:
        """The share of queries without such a reply."""
        return 1 - self.good / self.pace.sent.total()


def _asked(ground: Ground, rate: float) -> _Asked:
    began, before = time.monotonic(), ground.ours.counts()
    pace = ground.pace(ground.sheet, rate, ground.course.seconds, failing=True)
    after, passed = ground.ours.counts(), time.monotonic() - began
    replays, replies = (after[key] - before[key] for key in (REPLAYS, ANSWERED))
    # Those that found the client's buffer full were given as well.
    given = pace.all_taken(GOOD).total() + pace.missed
    return _Asked(pace, given - pace.missed - pace.failed, min(1.0, replays / given), (replies - given) / passed)
