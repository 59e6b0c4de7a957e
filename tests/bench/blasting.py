"""A client that only sends, as it runs beside the one that measures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.ours import ANSWERED, Ours
from tests.bench.question import Sheet
from tests.bench.servers import ROOT

_BEGUN = 1000  # replies


class Blast:
    """It, once it sends."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.began = time.monotonic()

    def stop(self) -> int:
        """End it; how many queries it sent."""
        self.process.terminate()
        return int(self.process.communicate()[0])


@contextmanager
def blasting(ours: Ours, sheet: Sheet, rate: float, *more: str) -> Iterator[Blast]:
    """Send these questions at this rate, see `blast.py`, while the block lasts."""
    before = ours.counts().get(ANSWERED, 0)
    words = (str(ours.port), str(sheet.packets()), f"{rate:.0f}", *more)
    blast = Blast([sys.executable, "-m", "tests.bench.blast", *words])
    try:
        while ours.counts().get(ANSWERED, 0) - before < _BEGUN:
            time.sleep(0.01)
        blast.began = time.monotonic()
        yield blast
    finally:
        if blast.process.poll() is None:
            blast.process.kill()
            blast.process.wait()
