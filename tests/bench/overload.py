"""More queries than can be answered: how much of its best the server keeps, and how soon all is well again."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from tests.bench.blasting import blasting
from tests.bench.ground import Ground, Measured, told
from tests.bench.ours import ANSWERED, OVERFLOWED, SHED
from tests.bench.question import Packet, packets

_TIMES = 2.0  # its best
_SAMPLED = 1000.0  # queries a second of the client whose answers are looked at
_HEALTH = 0.05  # seconds between two looks at the page
_SOON = 0.005  # seconds: an answer as it should be
_IN_A_ROW = 10  # of those, and all is well
_PATIENCE = 5.0  # seconds


def overload(ground: Ground) -> Measured:
    """Twice what it can answer; shown is what one client among the many gets."""
    ours, sheet, seconds = ground.ours, ground.sheet, ground.course.seconds
    best, hits = ground.busy(sheet, seconds)
    with blasting(ours, sheet, best.rate * _TIMES) as blast, _health(ours.health) as health:
        began, cpu, before = time.monotonic(), ours.cpu, ours.counts()
        pace = ground.pace(sheet, _SAMPLED, seconds)
        after, cpu, passed = ours.counts(), ours.cpu - cpu, time.monotonic() - began
        offered = blast.stop() / (time.monotonic() - blast.began)
    recovered = _until_well(ours.port, next(packets(sheet.packets())))
    answered, shed, overflowed = (after[key] - before[key] for key in (ANSWERED, SHED, OVERFLOWED))
    notes = {
        "offered q/s": offered, "answered q/s": answered / passed, "of best": best.cost / (cpu / answered * 1e6),
        "shed": shed, "overflowed": overflowed, "health ms": median(health) * 1000, "at most": max(health) * 1000,
        "well after ms": recovered * 1000,
    }  # fmt: skip
    measured = Measured("overload", best, pace, hits, ours.resident, notes=notes)
    ground.course.tell(told(measured))
    return measured


@contextmanager
def _health(port: int) -> Iterator[list[float]]:
    """The seconds that the health page takes, while the block lasts."""
    taken: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(_HEALTH):
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=_PATIENCE) as page:
                page.read()
            taken.append(time.perf_counter() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield taken
    finally:
        done.set()
        thread.join()


def _until_well(port: int, question: Packet) -> float:
    """Seconds until answers come soon, one after the other."""
    began = well = time.perf_counter()
    row = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_SOON)
        client.connect(("127.0.0.1", port))
        while row < _IN_A_ROW and time.perf_counter() < began + _PATIENCE:
            try:
                client.send(question.wire)
                client.recv(4096)
                row += 1
            except TimeoutError:
                row, well = 0, time.perf_counter()
    return well - began
