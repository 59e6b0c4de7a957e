"""Everything is listed anew, again and again: what becomes of the answers while that goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.expiring import Expiring
from tests.bench.ground import FASTEST, Ground, Measured, Pace, share_of_hits, told
from tests.bench.ours import OVERFLOWED, SHED
from tests.bench.servers import BenchError

_TIMES = 5  # at least
_PATIENCE = 120.0  # seconds for all of them
_LOOK = 0.1  # seconds between two looks whether it is over
_TARGET = "p99.9 < 25 ms, none lost"


def relist(name: str, *, streams: bool) -> Callable[[Ground], Measured]:
    """The phase where lists come as a stream of events, or in pages from a server that does not know that yet."""

    def measure(ground: Ground) -> Measured:
        """The watches cannot be resumed, and once all is listed it begins again; only queries meanwhile count."""
        ours, api, course = ground.ours, ground.api, ground.course
        busy, _ = ground.busy(ground.sheet, course.seconds)
        pace = Pace(min(busy.rate / 2, FASTEST))
        api.streams = streams
        before, lists, relists = ours.counts(), api.lists, api.relists
        with _relisting(api, course.folder / name) as spells:
            deadline = time.monotonic() + _PATIENCE
            while api.relists < relists + _TIMES or not pace.sent.total():
                if time.monotonic() > deadline:
                    made = api.relists - relists
                    raise BenchError(f"listed anew {made} times within {_PATIENCE:g} s: {ours.log.read_text()}")
                pace.add(ground.pace(ground.sheet, pace.rate, course.seconds, spells=spells))
        after, number = ours.counts(), api.relists - relists
        notes = {
            "relists": number, "lists": api.lists - lists, "ms each": _lasted(spells) / number * 1000,
            "queries meanwhile": pace.sent.total(),
            "shed": after[SHED] - before[SHED], "overflowed": after[OVERFLOWED] - before[OVERFLOWED],
        }  # fmt: skip
        measured = Measured(name, busy, pace, share_of_hits(before, after), ours.resident, notes=notes, target=_TARGET)
        course.tell(told(measured))
        return measured

    return measure


@contextmanager
def _relisting(api: Expiring, spells: Path) -> Iterator[Path]:
    """Lose the history whenever all is watched, while the block lasts."""
    done = threading.Event()
    spells.write_text("")
    api.spells = spells

    def expire() -> None:
        while not done.is_set():
            if api.wait_until_watched(_LOOK):
                api.expire()

    thread = threading.Thread(target=expire)
    thread.start()
    try:
        yield spells
    finally:
        done.set()
        thread.join()
        api.wait_until_watched(_PATIENCE)
        api.spells = None


def _lasted(spells: Path) -> float:
    """How many seconds there were lists going on."""
    lines = (line.split() for line in spells.read_text().splitlines())
    return sum(float(end) - float(begin) for begin, *ended in lines for end in ended)
