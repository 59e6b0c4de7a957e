"""The phases of a server's life, each measured on the same running server; the last one is long and looks at memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import NamedTuple

from tests.bench import mixes, outside, tiers
from tests.bench.counted import BLOCKS
from tests.bench.course import Course
from tests.bench.expiring import Expiring
from tests.bench.flood import flood
from tests.bench.ground import Ground, Measured
from tests.bench.load import Asking, asking
from tests.bench.ours import OVERFLOWED, SHED, Ours, kubernetes, pydnsk8s
from tests.bench.overload import overload
from tests.bench.peers import knot
from tests.bench.question import INSIDE, NOERROR, OUTSIDE, Sheet
from tests.bench.relist import relist
from tests.bench.servers import CLIENT_CORE
from tests.bench.soak import slope

_EXCUSED = 6.0  # seconds until the failures of an upstream are forgotten: `cache` holds SERVFAIL for 5
_PART = 15.0  # seconds between two looks at the memory of a soak
_MUCH = 0.8  # of what is answered at most, while it lasts
_FIRST = -10  # the niceness of who comes before the others of a core


def _cold(ground: Ground) -> Measured:
    """Nothing is known yet: the sheet once, as after a start."""
    ground.ours.reload()
    return ground.measure("cold", times=1, between=ground.ours.reload)


def _warm(ground: Ground) -> Measured:
    """All has been asked before."""
    return ground.measure("warm")


def _churn(rate: int) -> Callable[[Ground], Measured]:
    def churn(ground: Ground) -> Measured:
        """So many endpoints change every second."""
        ground.api.rate, before = rate, ground.api.changes
        try:
            measured = ground.measure(f"churn-{rate}")
        finally:
            ground.api.rate = 0
        measured.notes["changes"] = ground.api.changes - before
        return measured

    return churn


def _upstream_down(ground: Ground) -> Measured:
    """The upstream is silent: what is known without it must not suffer."""
    folder, questions = ground.course.folder, list(ground.sheet.questions)
    inside = Sheet(folder / "inside", [question for question in questions if question.group == INSIDE])
    everything = Sheet(folder / "everything", mixes.freshened(questions, seed=ground.course.seed))
    ground.upstream.process.send_signal(SIGSTOP)
    try:
        measured = ground.measure("upstream-down", inside, paced=everything, judged=(INSIDE,), failing=True)
    finally:
        ground.upstream.process.send_signal(SIGCONT)
        time.sleep(_EXCUSED)
    measured.notes["lost outside"] = measured.pace.lost((OUTSIDE,))
    return measured


def _api_down(ground: Ground) -> Measured:
    """The API server is gone: the last known state is served."""
    ground.api.close()
    try:
        return ground.measure("api-down")
    finally:
        ground.api.open()


@contextmanager
def _reloading(ours: Ours) -> Iterator[list[int]]:
    """Reload again and again while the block lasts."""
    done = threading.Event()
    reloads: list[int] = []

    def reload() -> None:
        while not done.wait(1):
            ours.reload()
            reloads.append(1)

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        yield reloads
    finally:
        done.set()
        thread.join()


def _reload(ground: Ground) -> Measured:
    """A new configuration every second: nothing is lost."""
    with _reloading(ground.ours) as reloads:
        measured = ground.measure("reload")
    measured.notes["reloads"] = len(reloads)
    return measured


PHASES: dict[str, Callable[[Ground], Measured]] = {
    "cold": _cold, "warm": _warm, "churn-10": _churn(10), "churn-100": _churn(100), "churn-1000": _churn(1000),
    "upstream-down": _upstream_down, "api-down": _api_down,
    "relist": relist("relist", streams=True), "relist-pages": relist("relist-pages", streams=False),
    "reload": _reload, "flood": flood, "overload": overload,
}  # fmt: skip


def soak(ground: Ground, minutes: float) -> Measured:
    """The mix at four fifths of the rate for long, while ten endpoints change every second: does memory grow?"""
    ours = ground.ours
    ground.api.rate = 10
    try:
        measured = ground.measure("soak")
        before, full = _given_up(ours.counts()), _found_full()
        with asking(ours, ground.sheet, minutes * 60, pace=_MUCH * measured.busy.rate) as begun:
            held = list(_held(ground, begun, min(_PART, minutes * 60 / 10), before))
            seen = begun.outcome()
    finally:
        ground.api.rate = 0
    given_up = _given_up(ours.counts()) - before
    measured.notes.update({"at q/s": seen.rate, "asked": seen.queries + seen.lost, "lost": seen.lost})
    measured.notes.update({"given up": given_up, "buffers full": _found_full() - full})
    # What the first tenth adds is the work of filling up.
    held = held[len(held) // 10 :]
    grown = slope([(each.minutes, each.resident) for each in held])
    more = slope([(each.minutes, each.blocks) for each in held])
    measured.notes.update({"KiB a minute": grown.value, "give or take": grown.error})
    measured.notes.update({"blocks a minute": more.value, "of those give or take": more.error})
    return replace(measured, memory=ours.resident)


class _Held(NamedTuple):
    """What the server holds at some time."""

    minutes: float
    resident: float
    """KiB of the process."""
    blocks: float
    """Pieces of memory that its objects take; those of 512 octets at most, which is nearly all."""


def _held(ground: Ground, begun: Asking, part: float, before: float) -> Iterator[_Held]:
    """What is held from time to time while somebody asks; so many queries had been given up before."""
    ours, began = ground.ours, time.monotonic()
    while begun.lasts:
        # The metrics page is read as Prometheus does: what the gate has counted is handed in.
        minutes, resident, counts = (time.monotonic() - began) / 60, ours.resident, ours.counts()
        yield _Held(minutes, resident * 1024, counts[BLOCKS])
        given_up = _given_up(counts) - before
        ground.course.tell(f"soak: {minutes:.1f} minutes, {resident:.2f} MB, {given_up:.0f} given up so far")
        with suppress(subprocess.TimeoutExpired):
            begun.process.wait(part)


def _given_up(counts: dict[str, float]) -> float:
    """Queries that the server and its kernel gave up so far."""
    return counts[SHED] + counts[OVERFLOWED]


def _found_full() -> int:
    """Packets for which there was no room in a socket so far, whoever's it is."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    )
    return int(values[names.index("RcvbufErrors")])


def run_phases(course: Course, names: tuple[str, ...], minutes: float) -> Iterator[Measured]:
    """Start a server whose cluster comes from an API server, and take it through these phases, soak among them."""
    drawn = tiers.Cluster(tiers.TIERS[course.tier], seed=course.seed)
    sheet = Sheet(course.folder / "questions", mixes.mix(drawn, "mixed", course.lookups, seed=course.seed))
    api = Expiring(drawn, seed=course.seed)
    try:
        with (
            knot(course.folder / "upstream", outside.zones(), CLIENT_CORE) as upstream,
            pydnsk8s(course.folder / "ours", kubernetes(f"endpoint {api.url}"), upstream.port, counted=True) as ours,
        ):
            known = next(each for each in sheet.questions if each.rcode == NOERROR and each.group == INSIDE)
            ours.wait_until_ready(known, outside.VENDOR)
            _put_first(upstream.process.pid)
            ground = Ground(course, ours, upstream, api, drawn, sheet)
            for name in names:
                if name != "cold":
                    ground.warm_up()
                with course.watching(ours):
                    measured = soak(ground, minutes) if name == "soak" else PHASES[name](ground)
                yield measured
    finally:
        api.close()


def _put_first(process: int) -> None:
    """Let the upstream come before the client on their core, if that is allowed: elsewhere it has another machine.

    When it is held up just as the replies that were cached together end, a thousand queries wait, and memory grows.
    """
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _FIRST)
