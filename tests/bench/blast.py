"""A client that only sends, as fast as it is told, and never looks at what comes back.

python -m tests.bench.blast PORT SHEET RATE [SEED]

With a seed, the first label of every name is drawn anew each time, as long as it was: nobody has asked for it.
Goes on until it is ended by SIGTERM, then prints how many queries it sent. One that reads replies as well cannot send
more than a fast server answers.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

from tests.bench.question import packets

_BURST = 32  # queries between two looks at the clock
_BEHIND = 0.01  # seconds it may be late and still catch up
_NICE = 10  # who measures goes first
_NAME = 12  # where a packet's question begins: RFC 1035 section 4.1.1


def fresh(wires: Iterable[bytes], seed: str) -> Iterator[bytes]:
    """The queries with first labels of hexadecimal digits that have not been asked for."""
    draw = random.Random(seed).getrandbits
    for wire in wires:
        size = wire[_NAME]
        yield wire[: _NAME + 1] + b"%0*x" % (size, draw(4 * size)) + wire[_NAME + 1 + size :]


def main() -> None:
    """Send until told to stop."""
    port, sheet, rate = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    wires: Iterator[bytes] = cycle([question.wire for question in packets(sheet)])
    for seed in sys.argv[4:]:
        wires = fresh(wires, seed)
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as blaster:
        blaster.connect(("127.0.0.1", port))
        sent, send, pause = 0, blaster.send, _BURST / rate
        due = time.perf_counter()
        while not ended:
            for wire in islice(wires, _BURST):
                send(wire)
            sent += _BURST
            now = time.perf_counter()
            due = max(due + pause, now - _BEHIND)
            if due > now:
                time.sleep(due - now)
    print(sent)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.nice(_NICE)
    main()
